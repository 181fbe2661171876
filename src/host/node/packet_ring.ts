/**
 * An interface of the real kernel, e.g. one end of a veth pair, through a packet socket with a ring
 * in shared memory (TPACKET_V2): the kernel copies what arrives into the ring when it arrives, and
 * nothing is called to read it. Frames carry a virtio header both ways (PACKET_VNET_HDR).
 * Kernel documentation: Documentation/networking/packet_mmap.rst.
 */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import {
  DOOR_FRAME_SIZE,
  type Door,
  DoorError,
  type DoorHandlers,
  type DoorQueue,
  DoorUnavailable,
  KERNEL_OFFLOADS,
  READ_BUDGET,
} from '#host/node/door.ts';
import { type Libc, loadLibc, type PollHandle } from '#host/node/libc.ts';
import { EPERM, strerror } from '#uapi/errno.ts';
import { ETH_P_8021Q, ETH_P_ALL } from '#uapi/if_ether.ts';
import {
  PACKET_ADD_MEMBERSHIP,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_PROMISC,
  PACKET_RX_RING,
  PACKET_VERSION,
  PACKET_VNET_HDR,
  TP_STATUS_KERNEL,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  TPACKET_V2,
} from '#uapi/if_packet.ts';
import {
  AF_PACKET,
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_PACKET,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** Bytes of struct virtio_net_hdr, which packet sockets have. */
const VNET_HDR_SIZE: number = virtioNetHdr.LEN;

/** A slot takes a super-packet with everything before it. */
const FRAME_SIZE = 128 * 1024;
const BLOCK_SIZE = 1024 * 1024;
const FRAMES_PER_BLOCK: number = BLOCK_SIZE / FRAME_SIZE;
const FRAMES = 256;
const RING_BYTES: number = FRAMES * FRAME_SIZE;

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

// Words of struct tpacket2_hdr.
const TP_STATUS = 0;
const TP_LEN = 1;
const TP_SNAPLEN = 2;
/** The frame's offset from the slot in the lower half. */
const TP_MAC_NET = 3;
const TP_VLAN = 6;

const ETH_ALEN = 6;
const VLAN_HLEN = 4;

/** Begins again when the interface comes up; asked for while it is down. */
const DOWN_POLL_MS = 100;

function indexOf(name: string): number {
  const path = `/sys/class/net/${name}/ifindex`;
  // A name with a slash in it is none.
  if (name === '' || name.includes('/') || !existsSync(path)) {
    throw new DoorError(`there is no interface '${name}'`);
  }
  return Number(readFileSync(path, 'utf8'));
}

function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

export class PacketRing implements Door, DoorQueue {
  readonly name: string;
  readonly vnetHdrSize: number = VNET_HDR_SIZE;
  readonly offloads: number = KERNEL_OFFLOADS;
  readonly mac = null;
  readonly queues: readonly DoorQueue[];
  txErrors: number;
  /** Frames that did not fit into a slot. */
  rxErrors: number;
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly ring: number;
  private readonly ringWords: Uint32Array;
  private readonly ringBytes: Uint8Array;
  /** A frame whose VLAN tag is put back in. */
  private readonly tagged: Uint8Array;
  private readonly tx: Uint8Array;
  private readonly txAddress: number;
  private head: number;
  private handle: PollHandle | null;
  private timer: NodeJS.Timeout | null;
  private closed: boolean;

  /** Throws DoorUnavailable when root or koffi is missing, DoorError when there is no such interface. */
  constructor(name: string) {
    this.name = name;
    const index = indexOf(name);
    this.libc = loadLibc('open a packet socket');
    const { libc } = this;
    this.queues = [this];
    this.txErrors = 0;
    this.rxErrors = 0;
    this.head = 0;
    this.handle = null;
    this.timer = null;
    this.closed = false;
    // Without a protocol nothing comes before everything is set up.
    this.fd = libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (this.fd < 0) {
      const errno = libc.errno();
      if (errno !== EPERM) throw new DoorError(`socket: ${strerror(errno)}`);
      throw new DoorUnavailable('packet sockets need root (CAP_NET_RAW)');
    }
    try {
      this.option(PACKET_VERSION, words(TPACKET_V2));
      this.option(PACKET_VNET_HDR, words(1));
      this.option(PACKET_IGNORE_OUTGOING, words(1));
      const blocks = FRAMES / FRAMES_PER_BLOCK;
      this.option(PACKET_RX_RING, words(BLOCK_SIZE, blocks, FRAME_SIZE, FRAMES));
      // The machine's own address is not the interface's.
      this.option(PACKET_ADD_MEMBERSHIP, words(index, PACKET_MR_PROMISC, 0, 0));
      this.bind(index);
      // Last, so that nothing can fail while it is mapped.
      this.ring = libc.mmap(0, RING_BYTES, PROT_READ_WRITE, MAP_SHARED, this.fd, 0);
      if (this.ring === -1) throw new DoorError(`mmap: ${strerror(libc.errno())}`);
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
    const buffer = libc.view(this.ring, RING_BYTES);
    this.ringWords = new Uint32Array(buffer);
    this.ringBytes = new Uint8Array(buffer);
    this.tagged = new Uint8Array(DOOR_FRAME_SIZE);
    this.tx = new Uint8Array(DOOR_FRAME_SIZE);
    this.txAddress = libc.address(this.tx);
  }

  start(handlers: DoorHandlers): void {
    this.handle = this.libc.poll(this.fd, (status) => {
      this.drain(handlers);
      // A socket whose interface goes down is readable with an error; the ring has none to tell.
      if (status < 0 || this.takeError() !== 0) this.waitForInterface(handlers);
    });
  }

  room(): Uint8Array {
    return this.tx;
  }

  /** The kernel takes the frame within the call. */
  send(length: number): void {
    if (this.libc.write(this.fd, this.txAddress, length) < 0) this.txErrors++;
  }

  flush(): void {}

  /** Leaves the interface as it was. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle?.close();
    if (this.timer !== null) clearTimeout(this.timer);
    this.libc.munmap(this.ring, RING_BYTES);
    closeSync(this.fd);
  }

  private drain(handlers: DoorHandlers): void {
    this.takeFrames(handlers);
    if (!this.closed) handlers.idle();
  }

  private takeFrames(handlers: DoorHandlers): void {
    for (let i = 0; i < READ_BUDGET && !this.closed && handlers.ready(); i++) {
      const slot = this.head * FRAME_SIZE;
      const word = slot >> 2;
      const status = Atomics.load(this.ringWords, word + TP_STATUS);
      if ((status & TP_STATUS_USER) === 0) return;
      this.take(slot, status, handlers);
      // The door may have been closed by what the frame did.
      if (this.closed) return;
      Atomics.store(this.ringWords, word + TP_STATUS, TP_STATUS_KERNEL);
      this.head = (this.head + 1) % FRAMES;
    }
  }

  private take(slot: number, status: number, handlers: DoorHandlers): void {
    const { ringWords, ringBytes } = this;
    const word = slot >> 2;
    const length = ringWords[word + TP_SNAPLEN] as number;
    if (length < (ringWords[word + TP_LEN] as number)) {
      this.rxErrors++;
      return;
    }
    const mac = slot + ((ringWords[word + TP_MAC_NET] as number) & 0xffff);
    const frame = ringBytes.subarray(mac - VNET_HDR_SIZE, mac + length);
    if ((status & TP_STATUS_VLAN_VALID) === 0) handlers.frame(frame);
    else handlers.frame(this.withTag(frame, ringWords[word + TP_VLAN] as number, status));
  }

  /** The kernel keeps a VLAN tag beside the frame: it goes back behind the addresses. */
  private withTag(frame: Uint8Array, vlan: number, status: number): Uint8Array {
    const { tagged } = this;
    const at = VNET_HDR_SIZE + 2 * ETH_ALEN;
    const length = frame.length + VLAN_HLEN;
    const v = new DataView(tagged.buffer);
    tagged.set(frame.subarray(0, at));
    tagged.set(frame.subarray(at), at + VLAN_HLEN);
    v.setUint16(at, (status & TP_STATUS_VLAN_TPID_VALID) === 0 ? ETH_P_8021Q : vlan >>> 16);
    v.setUint16(at + 2, vlan & 0xffff);
    // Both count from the frame's begin.
    if (virtioNetHdr.hdrLen(v, 0) !== 0) {
      virtioNetHdr.setHdrLen(v, 0, virtioNetHdr.hdrLen(v, 0) + VLAN_HLEN);
    }
    if (virtioNetHdr.csumStart(v, 0) !== 0) {
      virtioNetHdr.setCsumStart(v, 0, virtioNetHdr.csumStart(v, 0) + VLAN_HLEN);
    }
    return tagged.subarray(0, length);
  }

  /** While the interface is down its socket is always readable: it is looked at now and then. */
  private waitForInterface(handlers: DoorHandlers): void {
    this.handle?.close();
    this.handle = null;
    if (this.closed) return;
    if (!existsSync(`/sys/class/net/${this.name}`)) {
      handlers.gone(`the interface ${this.name} was removed`);
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.closed) return;
      if (this.takeError() === 0) this.start(handlers);
      else this.waitForInterface(handlers);
    }, DOWN_POLL_MS);
  }

  /** The errno that waits on the socket, which is gone then; 0: none. */
  private takeError(): number {
    const value = new Uint8Array(4);
    const result = this.libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, value, words(4));
    return result < 0 ? this.libc.errno() : new DataView(value.buffer).getInt32(0, true);
  }

  private bind(index: number): void {
    // struct sockaddr_ll: family, protocol in network order, index.
    const addr = new Uint8Array(20);
    const v = new DataView(addr.buffer);
    v.setUint16(0, AF_PACKET, true);
    v.setUint16(2, ETH_P_ALL);
    v.setInt32(4, index, true);
    if (this.libc.bind(this.fd, addr, addr.length) < 0) {
      throw new DoorError(`binding to ${this.name}: ${strerror(this.libc.errno())}`);
    }
  }

  private option(name: number, value: Uint8Array): void {
    if (this.libc.setsockopt(this.fd, SOL_PACKET, name, value, value.length) < 0) {
      throw new DoorError(`packet socket option ${name}: ${strerror(this.libc.errno())}`);
    }
  }
}
