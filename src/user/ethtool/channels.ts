/*
 * `ethtool -l`, `-L`: numbers of queues; `--show-priv-flags`, `--set-priv-flags`: a driver's own
 * switches. Counterpart: those parts of ethtool's ethtool.c and netlink/channels.c.
 */
import { strerror } from '#uapi/errno.ts';
import {
  ETH_SS_PRIV_FLAGS,
  ETHTOOL_GCHANNELS,
  ETHTOOL_GPFLAGS,
  ETHTOOL_SCHANNELS,
  ETHTOOL_SPFLAGS,
  ethtoolChannels,
  ethtoolValue,
} from '#uapi/ethtool.ts';
import { BAD_COMMAND_LINE, type Run } from '#user/ethtool/command.ts';

const c = ethtoolChannels;

export const showChannels: Run = (p, device) => {
  const v = device.get(ETHTOOL_GCHANNELS, c.LEN);
  if (typeof v === 'number') {
    p.warn(`Cannot get device channel parameters: ${strerror(-v)}\n`);
    return 1;
  }
  // What the device does not have at all is not told by it.
  const row = (count: number, max: number): string => (max === 0 ? 'n/a' : String(count));
  const maxima = [c.maxRx(v, 0), c.maxTx(v, 0), c.maxOther(v, 0), c.maxCombined(v, 0)];
  const counts = [c.rxCount(v, 0), c.txCount(v, 0), c.otherCount(v, 0), c.combinedCount(v, 0)];
  const table = (values: readonly number[]): string => {
    const [rx, tx, other, combined] = values.map((value, i) => row(value, maxima[i] ?? 0));
    return `RX:\t\t${rx}\nTX:\t\t${tx}\nOther:\t\t${other}\nCombined:\t${combined}\n`;
  };
  p.print(
    `Channel parameters for ${device.name}:\nPre-set maximums:\n${table(maxima)}` +
      `Current hardware settings:\n${table(counts)}`,
  );
  return 0;
};

const FIELDS: Readonly<Record<string, readonly [get: typeof c.rxCount, set: typeof c.setRxCount]>> =
  {
    rx: [c.rxCount, c.setRxCount],
    tx: [c.txCount, c.setTxCount],
    other: [c.otherCount, c.setOtherCount],
    combined: [c.combinedCount, c.setCombinedCount],
  };

export const changeChannels: Run = (p, device, words) => {
  const v = device.get(ETHTOOL_GCHANNELS, c.LEN);
  if (typeof v === 'number') {
    p.warn(`Cannot get device channel parameters: ${strerror(-v)}\n`);
    return 1;
  }
  let changed = false;
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i] as string;
    const field = Object.hasOwn(FIELDS, word) ? FIELDS[word] : undefined;
    const value = words[i + 1] ?? '';
    if (field === undefined || !/^[0-9]{1,9}$/.test(value)) {
      p.warn(BAD_COMMAND_LINE);
      return 1;
    }
    const [get, set] = field;
    if (get(v, 0) !== Number(value)) changed = true;
    set(v, 0, Number(value));
  }
  if (!changed) {
    p.warn(
      'no channel parameters changed.\n' +
        `current values: rx ${c.rxCount(v, 0)} tx ${c.txCount(v, 0)}` +
        ` other ${c.otherCount(v, 0)} combined ${c.combinedCount(v, 0)}\n`,
    );
    return 0;
  }
  const err = device.send(ETHTOOL_SCHANNELS, v);
  if (err < 0) p.warn(`Cannot set device channel parameters: ${strerror(-err)}\n`);
  return err < 0 ? 1 : 0;
};

export const showPrivFlags: Run = (p, device) => {
  const names = device.strings(ETH_SS_PRIV_FLAGS);
  if (names.length === 0) {
    p.warn('No private flags defined\n');
    return 1;
  }
  const v = device.get(ETHTOOL_GPFLAGS, ethtoolValue.LEN);
  if (typeof v === 'number') {
    p.warn(`Cannot get private flags: ${strerror(-v)}\n`);
    return 1;
  }
  const flags = ethtoolValue.data(v, 0);
  const width = Math.max(...names.map((name) => name.length));
  p.print(`Private flags for ${device.name}:\n`);
  names.forEach((name, i) => {
    p.print(`${name.padEnd(width)}: ${(flags & (1 << i)) !== 0 ? 'on' : 'off'}\n`);
  });
  return 0;
};

export const changePrivFlags: Run = (p, device, words) => {
  const names = device.strings(ETH_SS_PRIV_FLAGS);
  const v = device.get(ETHTOOL_GPFLAGS, ethtoolValue.LEN);
  if (typeof v === 'number') {
    p.warn(`Cannot get private flags: ${strerror(-v)}\n`);
    return 1;
  }
  let flags = ethtoolValue.data(v, 0);
  for (let i = 0; i < words.length; i += 2) {
    const bit = 1 << names.indexOf(words[i] as string);
    const value = words[i + 1];
    if (!names.includes(words[i] as string) || (value !== 'on' && value !== 'off')) {
      p.warn(BAD_COMMAND_LINE);
      return 1;
    }
    flags = value === 'on' ? flags | bit : flags & ~bit;
  }
  ethtoolValue.setData(v, 0, flags);
  const err = device.send(ETHTOOL_SPFLAGS, v);
  if (err < 0) p.warn(`Cannot set private flags: ${strerror(-err)}\n`);
  return err < 0 ? 1 : 0;
};
