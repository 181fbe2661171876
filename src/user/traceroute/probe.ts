/*
 * One probe of traceroute: a datagram with so many hops to live, and what came back for it.
 */
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, sockExtendedErr } from '#uapi/errqueue.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PKT_FILTERED,
  ICMP_PORT_UNREACH,
  ICMP_PREC_CUTOFF,
  ICMP_PREC_VIOLATION,
  ICMP_PROT_UNREACH,
  ICMP_SR_FAILED,
  ICMP_TIME_EXCEEDED,
  icmphdr,
} from '#uapi/icmp.ts';
import {
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IP_PMTUDISC_DONT,
  IP_RECVERR,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_UDP,
} from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_IP,
} from '#uapi/socket.ts';
import { readControl } from '#user/lib/cmsg.ts';
import type { Libc } from '#user/lib/libc.ts';
import { decodeSockaddr4, encodeSockaddr4, SOCKADDR_STORAGE_LEN } from '#user/lib/sockaddr.ts';

/** What a probe found out. */
export interface Finding {
  readonly from: number;
  /** Nanoseconds. */
  readonly rtt: number;
  /** Nothing further is to be asked: the machine itself, or one that refuses. */
  readonly final: boolean;
  /** `!H` and its like; empty for an ordinary answer. */
  readonly mark: string;
}

export interface ProbeOptions {
  readonly to: number;
  readonly icmp: boolean;
  readonly size: number;
  readonly dontFragment: boolean;
  readonly port: number;
  readonly source: number;
}

const MARKS: Readonly<Record<number, string>> = {
  [ICMP_NET_UNREACH]: '!N',
  [ICMP_HOST_UNREACH]: '!H',
  [ICMP_PROT_UNREACH]: '!P',
  [ICMP_PORT_UNREACH]: '',
  [ICMP_SR_FAILED]: '!S',
  [ICMP_PKT_FILTERED]: '!X',
  [ICMP_PREC_VIOLATION]: '!V',
  [ICMP_PREC_CUTOFF]: '!C',
};

/** What an error message says of the way. */
function markOf(type: number, code: number, info: number): string {
  if (type === ICMP_TIME_EXCEEDED) return '';
  if (type !== ICMP_DEST_UNREACH) return `!<${type}-${code}>`;
  if (code === ICMP_FRAG_NEEDED) return `!F-${info}`;
  return MARKS[code] ?? `!<${code}>`;
}

export class Probe {
  readonly fd: number;
  readonly ttl: number;
  sentNs: number;
  private readonly libc: Libc;
  private readonly options: ProbeOptions;
  private readonly sequence: number;
  private readonly ident: number;

  private constructor(
    libc: Libc,
    fd: number,
    options: ProbeOptions,
    ttl: number,
    sequence: number,
  ) {
    this.libc = libc;
    this.fd = fd;
    this.ttl = ttl;
    this.options = options;
    this.sequence = sequence;
    this.ident = libc.sys.getpid() & 0xffff;
    this.sentNs = 0;
  }

  /** @throws SystemError */
  static open(libc: Libc, options: ProbeOptions, ttl: number, sequence: number): Probe {
    const fd = options.icmp
      ? libc.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)
      : libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    try {
      if (options.source !== 0) libc.bind(fd, encodeSockaddr4(options.source, 0));
      const discover = options.dontFragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
      libc.setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, discover);
      libc.setsockopt(fd, SOL_IP, IP_RECVERR, 1);
      libc.setsockopt(fd, SOL_IP, IP_TTL, ttl);
      return new Probe(libc, fd, options, ttl, sequence);
    } catch (error) {
      libc.sys.close(fd);
      throw error;
    }
  }

  close(): void {
    this.libc.sys.close(this.fd);
  }

  /** Sends; 0 or a negative errno. */
  send(): number {
    const { options } = this;
    const to = encodeSockaddr4(options.to, options.icmp ? 0 : options.port);
    const connected = this.libc.sys.connect(this.fd, to);
    if (connected < 0) return connected;
    // The bytes after the header count up from `@`, as the real one's do.
    const bytes = Uint8Array.from({ length: this.payloadLength() }, (_, i) => 0x40 + (i & 0x3f));
    if (options.icmp) this.fillEcho(bytes);
    this.sentNs = this.libc.sys.monotonic();
    const sent = this.libc.sys.sendto(this.fd, bytes, 0, null);
    return sent < 0 ? sent : 0;
  }

  private payloadLength(): number {
    const { icmp, size } = this.options;
    return icmp ? Math.max(8, size - 20) : Math.max(0, size - 28);
  }

  private fillEcho(bytes: Uint8Array): void {
    const v = new DataView(bytes.buffer);
    icmphdr.setType(v, 0, ICMP_ECHO);
    icmphdr.setCode(v, 0, 0);
    icmphdr.setEchoId(v, 0, this.ident);
    icmphdr.setEchoSequence(v, 0, this.sequence);
    icmphdr.setChecksum(v, 0, 0);
    icmphdr.setChecksum(v, 0, csumFold(csumPartial(bytes, 0, bytes.length, 0)));
  }

  /** What has come back; null: nothing yet. */
  look(): Finding | null {
    return this.lookForError() ?? this.lookForAnswer();
  }

  private lookForError(): Finding | null {
    const control = new Uint8Array(512);
    const msg = {
      name: null,
      namelen: 0,
      iov: [new Uint8Array(64)],
      control,
      controllen: control.length,
      flags: 0,
    };
    const length = this.libc.sys.recvmsg(this.fd, msg, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (length < 0) return null;
    const cmsg = readControl(control, msg.controllen).find(
      ({ level, type }) => level === SOL_IP && type === IP_RECVERR,
    );
    if (cmsg === undefined) return null;
    if (this.options.icmp && !this.isOurs(msg.iov[0] as Uint8Array, ICMP_ECHO)) return null;
    const v = new DataView(cmsg.data.buffer, cmsg.data.byteOffset, cmsg.data.length);
    const rtt = this.libc.sys.monotonic() - this.sentNs;
    const origin = sockExtendedErr.origin(v, 0);
    if (origin === SO_EE_ORIGIN_LOCAL) {
      const mark = `!F-${sockExtendedErr.info(v, 0)}`;
      return { from: this.options.to, rtt, final: true, mark };
    }
    if (origin !== SO_EE_ORIGIN_ICMP) return null;
    const from = decodeSockaddr4(cmsg.data.subarray(sockExtendedErr.OFFENDER))?.addr ?? 0;
    const type = sockExtendedErr.type(v, 0);
    const mark = markOf(type, sockExtendedErr.code(v, 0), sockExtendedErr.info(v, 0));
    return { from, rtt, final: type !== ICMP_TIME_EXCEEDED, mark };
  }

  private lookForAnswer(): Finding | null {
    const buf = new Uint8Array(2048);
    const name = new Uint8Array(SOCKADDR_STORAGE_LEN);
    for (;;) {
      const length = this.libc.sys.recvfrom(this.fd, buf, MSG_DONTWAIT, name);
      if (length < 0) return null;
      const from = decodeSockaddr4(name)?.addr ?? this.options.to;
      const rtt = this.libc.sys.monotonic() - this.sentNs;
      if (!this.options.icmp) return { from, rtt, final: true, mark: '' };
      const offset = length >= iphdr.LEN ? iphdr.hdrlen(new DataView(buf.buffer), 0) : 0;
      if (this.isOurs(buf.subarray(offset, length), ICMP_ECHOREPLY)) {
        return { from, rtt, final: true, mark: '' };
      }
    }
  }

  private isOurs(bytes: Uint8Array, type: number): boolean {
    if (bytes.length < icmphdr.LEN) return false;
    const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return (
      icmphdr.type(v, 0) === type &&
      icmphdr.echoId(v, 0) === this.ident &&
      icmphdr.echoSequence(v, 0) === this.sequence
    );
  }
}
