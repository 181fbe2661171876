/** Keys of a packet's flow. Counterpart of include/net/flow_dissector.h; functions in net/core/. */

/** What identifies a flow. IPv6 addresses are folded to 32 bits each. @kernel flow_keys include/net/flow_dissector.h */
export class FlowKeys {
  /** EtherType behind all tags; 0: unknown. */
  nProto: number;
  ipProto: number;
  src: number;
  dst: number;
  /** Source port in the upper half; 0 for fragments and protocols without ports. */
  ports: number;
  /** Offset in bytes from the start to the transport header. */
  thoff: number;
  isFragment: boolean;

  constructor() {
    this.nProto = 0;
    this.ipProto = 0;
    this.src = 0;
    this.dst = 0;
    this.ports = 0;
    this.thoff = 0;
    this.isFragment = false;
  }
}
