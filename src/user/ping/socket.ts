/*
 * The socket of ping: a ping socket where the group may have one, else a raw one; what comes in from either, and
 * from its error queue. Counterpart of create_socket, ping4_parse_reply and ping4_receive_error_msg of iputils.
 */
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { EACCES, EAGAIN, EMSGSIZE, EPERM, EPROTONOSUPPORT } from '#uapi/errno.ts';
import { SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, sockExtendedErr } from '#uapi/errqueue.ts';
import {
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_FILTER,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  icmphdr,
} from '#uapi/icmp.ts';
import { IP_RECVERR, IP_RECVTTL, IP_TTL, IPPROTO_ICMP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  SO_RCVBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_IP,
  SOL_RAW,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import type { UserMsghdr } from '#uapi/unistd.ts';
import { readControl } from '#user/lib/cmsg.ts';
import { check } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { decodeSockaddr4, encodeSockaddr4, SOCKADDR_STORAGE_LEN } from '#user/lib/sockaddr.ts';

/** An answer to one of our requests. */
export interface EchoReply {
  readonly from: number;
  /** Octets of the ICMP message. */
  readonly length: number;
  readonly sequence: number;
  /** -1: not known. */
  readonly ttl: number;
  readonly good: boolean;
  readonly data: Uint8Array;
}

/** An error that concerns one of our requests. */
export interface EchoError {
  readonly origin: 'local' | 'icmp';
  /** Positive. */
  readonly errno: number;
  readonly from: number;
  readonly type: number;
  readonly code: number;
  readonly info: number;
  readonly sequence: number;
}

const CONTROL_BYTES = 512;

export class PingSocket {
  readonly fd: number;
  readonly raw: boolean;
  ident: number;
  private readonly libc: Libc;
  private readonly target: Uint8Array;
  private readonly buf: Uint8Array;
  private readonly control: Uint8Array;
  private readonly name: Uint8Array;

  private constructor(
    libc: Libc,
    fd: number,
    raw: boolean,
    ident: number,
    to: number,
    size: number,
  ) {
    this.libc = libc;
    this.fd = fd;
    this.raw = raw;
    this.ident = ident;
    this.target = encodeSockaddr4(to, 0);
    this.buf = new Uint8Array(size + 8 + 60 + 128);
    this.control = new Uint8Array(CONTROL_BYTES);
    this.name = new Uint8Array(SOCKADDR_STORAGE_LEN);
  }

  /** @param size octets of data in a request @param ident null: any @throws SystemError */
  static open(libc: Libc, to: number, size: number, ident: number | null): PingSocket {
    let raw = ident !== null;
    let fd = raw ? -EPERM : libc.sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
    if ([-EACCES, -EPERM, -EPROTONOSUPPORT].includes(fd)) {
      raw = true;
      fd = libc.sys.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    }
    check(fd, 'socket');
    const random = new Uint8Array(2);
    libc.sys.getrandom(random);
    const number = ident ?? new DataView(random.buffer).getUint16(0);
    const socket = new PingSocket(libc, fd, raw, number, to, size);
    try {
      socket.prepare(size);
      return socket;
    } catch (error) {
      libc.sys.close(fd);
      throw error;
    }
  }

  close(): void {
    this.libc.sys.close(this.fd);
  }

  private prepare(size: number): void {
    const { libc, fd } = this;
    if (this.raw) {
      // Only what answers; errors come by the error queue.
      const wanted = (1 << ICMP_SOURCE_QUENCH) | (1 << ICMP_REDIRECT) | (1 << ICMP_ECHOREPLY);
      libc.setsockopt(fd, SOL_RAW, ICMP_FILTER, ~wanted);
    } else libc.setsockopt(fd, SOL_IP, IP_RECVTTL, 1);
    libc.setsockopt(fd, SOL_IP, IP_RECVERR, 1);
    // Room for the answers of a flood.
    const hold = Math.min(65536, (size + 8 + 20 + 576) * 64);
    libc.sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Uint8Array.of(0, hold >> 8, hold >> 16, 0));
  }

  /** Sends a request; 0, or a negative errno. */
  send(sequence: number, data: Uint8Array): number {
    const packet = new Uint8Array(icmphdr.LEN + data.length);
    const v = new DataView(packet.buffer);
    icmphdr.setType(v, 0, ICMP_ECHO);
    icmphdr.setEchoId(v, 0, this.ident);
    icmphdr.setEchoSequence(v, 0, sequence);
    packet.set(data, icmphdr.LEN);
    icmphdr.setChecksum(v, 0, csumFold(csumPartial(packet, 0, packet.length, 0)));
    const sent = this.libc.sys.sendto(this.fd, packet, 0, this.target);
    return sent < 0 ? sent : 0;
  }

  /** The next answer to us; null: what came was not ours; a negative errno: nothing came. */
  receive(): EchoReply | null | number {
    const msg = this.message(this.buf);
    const length = this.libc.sys.recvmsg(this.fd, msg, MSG_DONTWAIT);
    if (length < 0) return length;
    const from = decodeSockaddr4(this.name)?.addr ?? 0;
    const v = new DataView(this.buf.buffer, 0, length);
    let offset = 0;
    let ttl = this.ttlOf(msg);
    if (this.raw) {
      if (length < iphdr.LEN) return null;
      offset = iphdr.hdrlen(v, 0);
      ttl = iphdr.ttl(v, 0);
    }
    if (length < offset + icmphdr.LEN) return null;
    if (icmphdr.type(v, offset) !== ICMP_ECHOREPLY) return null;
    if (this.raw && icmphdr.echoId(v, offset) !== this.ident) return null;
    const good = csumFold(csumPartial(this.buf, offset, length - offset, 0)) === 0;
    return {
      from,
      length: length - offset,
      sequence: icmphdr.echoSequence(v, offset),
      ttl,
      good: good || !this.raw,
      data: this.buf.slice(offset + icmphdr.LEN, length),
    };
  }

  /** The next error; null: it was not ours; a negative errno: there is none. */
  receiveError(): EchoError | null | number {
    const quoted = new Uint8Array(64);
    const msg = this.message(quoted);
    const length = this.libc.sys.recvmsg(this.fd, msg, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (length < 0) return length;
    const cmsg = readControl(this.control, msg.controllen).find(
      ({ level, type }) => level === SOL_IP && type === IP_RECVERR,
    );
    if (cmsg === undefined || cmsg.data.length < sockExtendedErr.LEN) return null;
    const v = new DataView(cmsg.data.buffer, cmsg.data.byteOffset, cmsg.data.length);
    const origin = sockExtendedErr.origin(v, 0);
    const q = new DataView(quoted.buffer);
    const sequence = icmphdr.echoSequence(q, 0);
    const offender = decodeSockaddr4(cmsg.data.subarray(sockExtendedErr.OFFENDER))?.addr ?? 0;
    const error = {
      errno: sockExtendedErr.errno(v, 0),
      from: offender,
      type: sockExtendedErr.type(v, 0),
      code: sockExtendedErr.code(v, 0),
      info: sockExtendedErr.info(v, 0),
      sequence,
    };
    if (origin === SO_EE_ORIGIN_LOCAL) return { origin: 'local', ...error };
    if (origin !== SO_EE_ORIGIN_ICMP) return null;
    const ours = length >= icmphdr.LEN && icmphdr.type(q, 0) === ICMP_ECHO;
    if (!ours || (this.raw && icmphdr.echoId(q, 0) !== this.ident)) return null;
    return { origin: 'icmp', ...error };
  }

  /** True for a result that says that nothing came. */
  static isEmpty(result: unknown): boolean {
    return result === -EAGAIN;
  }

  /** True for an error that a smaller request would not meet. */
  static isTooLong({ origin, errno }: EchoError): boolean {
    return origin === 'local' && errno === EMSGSIZE;
  }

  private message(buf: Uint8Array): UserMsghdr {
    return {
      name: this.name,
      namelen: this.name.length,
      iov: [buf],
      control: this.control,
      controllen: this.control.length,
      flags: 0,
    };
  }

  private ttlOf(msg: UserMsghdr): number {
    const cmsg = readControl(this.control, msg.controllen).find(
      ({ level, type }) => level === SOL_IP && type === IP_TTL,
    );
    if (cmsg === undefined || cmsg.data.length < 4) return -1;
    return new DataView(cmsg.data.buffer, cmsg.data.byteOffset).getInt32(0, true);
  }
}
