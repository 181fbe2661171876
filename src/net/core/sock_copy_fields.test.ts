import { describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import type { Proto } from '#include/net/sock.ts';
import { skCommonRelease, sockDefCallbacks } from '#net/core/sock.ts';
import { skCloneLock } from '#net/core/sock_clone.ts';
import { COPIED_FIELDS, copyTcpSock } from '#net/core/sock_copy_fields.ts';
import { protoNothing } from '#net/core/sock_proto.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';

describe('the copy of a TCP socket', () => {
  it('has every field that the list names, and no other', () => {
    const m = new BareMachine();
    const sock = (): TcpSock => new TcpSock(m.machine.initNet, AF_INET, prot, sockDefCallbacks);
    const prot: Proto = { ...protoNothing, name: 'TEST', alloc: sock };
    const [from, to] = [sock(), sock()];
    const values = from as unknown as Record<string, unknown>;
    const plain = Object.keys(from).filter((key) => typeof values[key] !== 'object');
    plain.forEach((key, i) => {
      const value = values[key];
      if (typeof value === 'number') values[key] = 1000 + i;
      else if (typeof value === 'boolean') values[key] = !value;
      else values[key] = () => i;
    });
    copyTcpSock(to, from);
    const copied = to as unknown as Record<string, unknown>;
    expect(plain.filter((key) => copied[key] === values[key])).toEqual(
      plain.filter((key) => COPIED_FIELDS.includes(key)),
    );
    expect(m.end()).toEqual({});
  });

  it('shares what few change with its listener, until either writes to it', () => {
    const rig = new TcpRig();
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    const listener = rig.sock(fd);
    listener.skMark = 7;
    listener.notsentLowat = 4096;
    listener.skPriority = 3;
    const child = skCloneLock(listener) as TcpSock;
    expect([child.skMark, child.notsentLowat, child.skPriority]).toEqual([7, 4096, 0]);
    listener.skMark = 8;
    child.notsentLowat = 1;
    child.tos = 16;
    expect([child.skMark, listener.notsentLowat, listener.tos]).toEqual([7, 4096, 0]);
    expect(rig.sock(rig.sys.socket(AF_INET, SOCK_STREAM, 0)).skMark).toBe(0);
    child.refcnt = 1;
    skCommonRelease(child);
    expect(rig.end()).toEqual({});
  });
});
