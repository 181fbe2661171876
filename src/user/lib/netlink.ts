/*
 * A netlink client: requests with an acknowledgement or one answer, dumps of many, notifications.
 * Counterpart of iproute2's lib/libnetlink.c. RFC 3549.
 */

import { EINTR, EMSGSIZE, ENOBUFS } from '#uapi/errno.ts';
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
  nlmsgAlign,
  nlmsgerr,
  nlmsghdr,
  sockaddrNl,
} from '#uapi/netlink.ts';
import {
  AF_NETLINK,
  MSG_PEEK,
  MSG_TRUNC,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { check, SystemError } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NlAttrs, type NlBuilder, NlMessage } from '#user/lib/nlmsg.ts';
import { encodeSockaddrNl } from '#user/lib/sockaddr.ts';

/** A request that the kernel refused. */
export class NetlinkError extends SystemError {
  /** What the kernel said in words; empty when it said nothing. */
  readonly extack: string;
  /** Offset of the attribute that it complained of; 0 for none. */
  readonly attrOffset: number;

  constructor(errno: number, extack: string, attrOffset: number) {
    super(errno, 'netlink');
    this.extack = extack;
    this.attrOffset = attrOffset;
    if (extack !== '') this.message = `${this.message}: ${extack}`;
  }
}

export type OnMessage = (message: NlMessage) => void;

export class NetlinkClient {
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly pid: number;
  private seq: number;
  /** Called with words of the kernel that come with a success. */
  onWarning: ((text: string) => void) | null;
  /** Set when a dump was not consistent: something changed while it ran. */
  interrupted: boolean;

  constructor(libc: Libc, protocol: number) {
    this.libc = libc;
    this.fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    this.seq = 0;
    this.onWarning = null;
    this.interrupted = false;
    try {
      libc.setsockopt(this.fd, SOL_SOCKET, SO_SNDBUF, 32768);
      libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, 1024 * 1024);
      libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      libc.bind(this.fd, encodeSockaddrNl(0, 0));
      this.pid = this.ownPid();
    } catch (error) {
      libc.sys.close(this.fd);
      throw error;
    }
  }

  close(): void {
    this.libc.sys.close(this.fd);
  }

  /** Asks the kernel to take the headers of dump requests at their word. */
  strict(): void {
    this.libc.sys.setsockopt(
      this.fd,
      SOL_NETLINK,
      NETLINK_GET_STRICT_CHK,
      Uint8Array.of(1, 0, 0, 0),
    );
  }

  /** Joins a multicast group, whose messages {@link notifications} gives. */
  join(group: number): void {
    this.libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  }

  /** Sends a request and waits until it is acknowledged. @throws NetlinkError */
  async request(builder: NlBuilder): Promise<void> {
    await this.transact(builder.addFlags(NLM_F_REQUEST | NLM_F_ACK));
  }

  /** Sends a request that is answered with one message. @throws NetlinkError */
  async get(builder: NlBuilder): Promise<NlMessage> {
    const answer = await this.transact(builder.addFlags(NLM_F_REQUEST));
    if (answer === null) throw new NetlinkError(-EMSGSIZE, 'no answer', 0);
    return answer;
  }

  /** Sends a request that is answered with many messages. @throws NetlinkError */
  async dump(builder: NlBuilder, onMessage: OnMessage): Promise<void> {
    const seq = await this.send(builder.addFlags(NLM_F_REQUEST | NLM_F_DUMP));
    for (;;) {
      for (const message of await this.receive()) {
        if (message.seq !== seq || message.pid !== this.pid) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) this.interrupted = true;
        if (message.type === NLMSG_ERROR) {
          this.finish(message, nlmsgerr.error(message.view, message.payload));
          return;
        }
        if (message.type === NLMSG_DONE) {
          // A dump that failed on the way ends with its errno.
          const ended = message.length >= NLMSG_HDRLEN + 4;
          this.finishDone(message, ended ? message.view.getInt32(message.payload, true) : 0);
          return;
        }
        onMessage(message);
      }
    }
  }

  /** Waits for messages of the groups that were joined. */
  async notifications(): Promise<NlMessage[]> {
    return this.receive();
  }

  /** Sends; the answer that is no acknowledgement, or null. */
  private async transact(builder: NlBuilder): Promise<NlMessage | null> {
    const seq = await this.send(builder);
    let answer: NlMessage | null = null;
    for (;;) {
      for (const message of await this.receive()) {
        if (message.seq !== seq || message.pid !== this.pid) continue;
        if (message.type === NLMSG_ERROR) {
          this.finish(message, nlmsgerr.error(message.view, message.payload));
          return answer;
        }
        answer = message;
      }
      if (answer !== null) return answer;
    }
  }

  private async send(builder: NlBuilder): Promise<number> {
    const bytes = builder.finish();
    const seq = ++this.seq;
    nlmsghdr.setSeq(new DataView(bytes.buffer), 0, seq);
    await this.libc.send(this.fd, bytes);
    return seq;
  }

  /** The messages of the next datagram, of whatever size it is. */
  private async receive(): Promise<NlMessage[]> {
    for (;;) {
      const length = await this.nextLength();
      const bytes = new Uint8Array(Math.max(length, 4096));
      const got = await this.libc.recv(this.fd, bytes);
      const messages = splitMessages(bytes.subarray(0, got));
      if (messages.length > 0) return messages;
    }
  }

  private async nextLength(): Promise<number> {
    for (;;) {
      try {
        return await this.libc.recv(this.fd, new Uint8Array(0), MSG_PEEK | MSG_TRUNC);
      } catch (error) {
        const errno = error instanceof SystemError ? -error.errno : 0;
        // Notifications were lost, or a signal came: the answer will still arrive.
        if (errno !== EINTR && errno !== ENOBUFS) throw error;
      }
    }
  }

  private finish(message: NlMessage, errno: number): void {
    const { view, payload } = message;
    if ((message.flags & NLM_F_ACK_TLVS) === 0) {
      this.conclude(errno, null);
      return;
    }
    // The request stands behind the errno, whole unless it was capped.
    const capped = (message.flags & NLM_F_CAPPED) !== 0 || errno === 0;
    const request = payload + nlmsgerr.MSG;
    const length = capped ? NLMSG_HDRLEN : nlmsgAlign(nlmsghdr.len(view, request));
    this.conclude(errno, new NlAttrs(view, request + length, message.end));
  }

  private finishDone(message: NlMessage, errno: number): void {
    const tlvs = (message.flags & NLM_F_ACK_TLVS) !== 0;
    const at = message.payload + 4;
    this.conclude(errno, tlvs ? new NlAttrs(message.view, at, message.end) : null);
  }

  private conclude(errno: number, attrs: NlAttrs | null): void {
    const text = attrs?.string(NLMSGERR_ATTR_MSG) ?? '';
    if (errno < 0) throw new NetlinkError(errno, text, attrs?.u32(NLMSGERR_ATTR_OFFS) ?? 0);
    if (text !== '') this.onWarning?.(text);
  }

  private ownPid(): number {
    const addr = new Uint8Array(sockaddrNl.LEN);
    check(this.libc.sys.getsockname(this.fd, addr), 'getsockname');
    return sockaddrNl.pid(new DataView(addr.buffer), 0);
  }
}

/** The messages of a datagram; what is cut short ends the list. */
export function splitMessages(bytes: Uint8Array): NlMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out: NlMessage[] = [];
  let o = 0;
  while (o + NLMSG_HDRLEN <= bytes.length) {
    const length = nlmsghdr.len(view, o);
    if (length < NLMSG_HDRLEN || o + length > bytes.length) break;
    out.push(new NlMessage(view, o));
    o += nlmsgAlign(length);
  }
  return out;
}
