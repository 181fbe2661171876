/**
 * Settings by name, read and written as text. Counterpart of kernel/sysctl.c.
 *
 * A table holds entries by their path below /proc/sys, with slashes: `net/ipv4/ip_forward`. Names
 * with dots (`net.ipv4.ip_forward`) are understood too, as sysctl(8) does.
 */
import { EACCES, EINVAL, ENOENT } from '#uapi/errno.ts';

/** @kernel ctl_table include/linux/sysctl.h */
export interface CtlTable {
  readonly procname: string;
  /** The value as /proc shows it, without the newline. */
  read(): string;
  /** 0 or a negative errno; null: read only. */
  readonly write: ((text: string) => number) | null;
}

export class SysctlTable {
  private readonly entries: Map<string, CtlTable>;

  constructor() {
    this.entries = new Map();
  }

  /** Adds entries below `path`; returns what takes them back. @kernel register_sysctl fs/proc/proc_sysctl.c */
  register(path: string, entries: readonly CtlTable[]): () => void {
    for (const entry of entries) this.entries.set(`${path}/${entry.procname}`, entry);
    return () => {
      for (const entry of entries) {
        const name = `${path}/${entry.procname}`;
        if (this.entries.get(name) === entry) this.entries.delete(name);
      }
    };
  }

  find(name: string): CtlTable | null {
    return this.entries.get(name) ?? this.entries.get(name.replaceAll('.', '/')) ?? null;
  }

  /** The value, or -ENOENT. */
  read(name: string): string | number {
    return this.find(name)?.read() ?? -ENOENT;
  }

  /** 0, -ENOENT, -EACCES (read only) or what the entry says. */
  write(name: string, text: string): number {
    const entry = this.find(name);
    if (entry === null) return -ENOENT;
    return entry.write === null ? -EACCES : entry.write(text.trim());
  }

  /** All paths, sorted. */
  list(): string[] {
    return [...this.entries.keys()].sort();
  }
}

/** A decimal, octal or hexadecimal integer as strtol(3) reads it; NaN when it is none. */
function parseInteger(text: string): number {
  if (!/^[+-]?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return Number.NaN;
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '');
  const value =
    digits.length > 1 && digits.startsWith('0') && !/^0[xX]/.test(digits)
      ? Number.parseInt(digits, 8)
      : Number(digits);
  return negative ? -value : value;
}

/** One integer from `min` to `max`, else -EINVAL. @kernel proc_dointvec_minmax kernel/sysctl.c */
export function intEntry(
  procname: string,
  get: () => number,
  set: ((value: number) => void) | null,
  min: number = -0x80000000,
  max: number = 0x7fffffff,
): CtlTable {
  return {
    procname,
    read: () => String(get()),
    write:
      set === null
        ? null
        : (text) => {
            const value = parseInteger(text);
            if (Number.isNaN(value) || value < min || value > max) return -EINVAL;
            set(value);
            return 0;
          },
  };
}

/** Several integers separated by white space; missing ones keep their value. @kernel proc_dointvec_minmax kernel/sysctl.c */
export function intsEntry(
  procname: string,
  get: () => readonly number[],
  set: (values: number[]) => void,
  min: number = -0x80000000,
  max: number = 0x7fffffff,
): CtlTable {
  return {
    procname,
    read: () => get().join('\t'),
    write: (text) => {
      const words = text.split(/\s+/).filter((word) => word !== '');
      const values = [...get()];
      if (words.length === 0 || words.length > values.length) return -EINVAL;
      for (const [i, word] of words.entries()) {
        const value = parseInteger(word);
        if (Number.isNaN(value) || value < min || value > max) return -EINVAL;
        values[i] = value;
      }
      set(values);
      return 0;
    },
  };
}

/** Seconds as text for a value kept in jiffies of `hz`. @kernel proc_dointvec_jiffies kernel/sysctl.c */
export function secondsEntry(
  procname: string,
  get: () => number,
  set: (jiffies: number) => void,
  hz: number,
): CtlTable {
  return intEntry(
    procname,
    () => Math.floor(get() / hz),
    (value) => set(value * hz),
    0,
  );
}

/** A text; `set` may refuse with a negative errno. @kernel proc_dostring kernel/sysctl.c */
export function stringEntry(
  procname: string,
  get: () => string,
  set: ((text: string) => number) | null,
): CtlTable {
  return { procname, read: get, write: set };
}
