import { describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import type { Proto } from '#include/net/sock.ts';
import { sockDefCallbacks } from '#net/core/sock.ts';
import { COPIED_FIELDS, copyTcpSock } from '#net/core/sock_copy_fields.ts';
import { protoNothing } from '#net/core/sock_proto.ts';
import { AF_INET } from '#uapi/socket.ts';

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
});
