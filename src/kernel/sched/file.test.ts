import { describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { File, type FileOperations, FilesStruct } from '#kernel/sched/file.ts';
import { EBADF } from '#uapi/errno.ts';

const OPS: FileOperations = {
  read: () => 0,
  write: () => 0,
  poll: null,
  ioctl: () => 0,
  release: () => {},
};

/** Slots of the table. */
function slots(files: FilesStruct): number {
  return (files as unknown as { fds: readonly unknown[] }).fds.length;
}

describe('the table of descriptors', () => {
  it('gives back what very many took, and keeps what is open', () => {
    const m = new BareMachine();
    const files = new FilesStruct();
    files.rlimit = 5000;
    for (let fd = 0; fd < 4000; fd++) {
      expect(files.install(new File(m.machine, OPS, 0, null), fd % 3 === 0)).toBe(fd);
    }
    for (let fd = 0; fd < 4000; fd++) if (fd !== 300) expect(files.close(fd)).toBe(0);
    expect(slots(files)).toBe(301);
    expect(files.open()).toEqual([300]);
    expect(files.getCloexec(300)).toBe(true);
    expect(files.close(3999)).toBe(-EBADF);
    files.close(300);
    expect(slots(files)).toBe(64);
    expect(files.install(new File(m.machine, OPS, 0, null), false)).toBe(0);
    expect(files.getCloexec(300)).toBe(false);
    files.closeAll();
    expect(m.end()).toEqual({});
  });
});
