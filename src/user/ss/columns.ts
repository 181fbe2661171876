/*
 * The columns of ss: each as wide as its widest cell. Counterpart of the rendering in iproute2's misc/ss.c.
 */

interface Column {
  readonly header: string;
  readonly right: boolean;
  /** Put before the column unless it is the first. */
  readonly delimiter: string;
}

/** Cells in this order. */
export const NETID = 0;
export const STATE = 1;
export const RECV_Q = 2;
export const SEND_Q = 3;
export const LOCAL_ADDRESS = 4;
export const LOCAL_PORT = 5;
export const PEER_ADDRESS = 6;
export const PEER_PORT = 7;
export const REST = 8;

const COLUMNS: readonly Column[] = [
  { header: 'Netid', right: false, delimiter: '' },
  { header: 'State', right: false, delimiter: ' ' },
  { header: 'Recv-Q', right: false, delimiter: ' ' },
  { header: 'Send-Q', right: false, delimiter: ' ' },
  { header: 'Local Address:', right: true, delimiter: ' ' },
  { header: 'Port', right: false, delimiter: '' },
  { header: 'Peer Address:', right: true, delimiter: ' ' },
  { header: 'Port', right: false, delimiter: '' },
  { header: 'Process', right: false, delimiter: '' },
];

/** One cell a column, in order. */
export type Row = readonly string[];

/** The rows as lines. @param hidden columns that say nothing new */
export function renderRows(
  rows: readonly Row[],
  hidden: readonly number[],
  header: boolean,
): string {
  const shown = COLUMNS.map((column, i) => ({ ...column, i })).filter(
    ({ i }) => !hidden.includes(i),
  );
  const all = header ? [COLUMNS.map((column) => column.header), ...rows] : rows;
  // The last cell of all does not count for its column's width: the real one measures when it goes on.
  const widths = COLUMNS.map((_, i) => {
    const counted = i === REST && rows.length > 0 ? all.slice(0, -1) : all;
    return Math.max(0, ...counted.map((row) => (row[i] ?? '').length));
  });
  return all
    .map((row) => {
      const cells = shown.map(({ i, right, delimiter }, n) => {
        const width = widths[i] as number;
        const cell = row[i] ?? '';
        return (n === 0 ? '' : delimiter) + (right ? cell.padStart(width) : cell.padEnd(width));
      });
      return `${cells.join('')}\n`;
    })
    .join('');
}
