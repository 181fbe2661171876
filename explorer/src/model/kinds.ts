/** How kinds of packets are called and coloured; the colours are custom properties of the theme. */
import { PACKET_KINDS, type PacketKind } from '../protocol.ts';

export const KIND_LABELS: Readonly<Record<PacketKind, string>> = {
  arp: 'ARP',
  icmp: 'ICMP echo',
  'icmp-error': 'ICMP error',
  udp: 'UDP',
  'tcp-syn': 'TCP SYN',
  'tcp-data': 'TCP data',
  'tcp-ack': 'TCP ACK',
  'tcp-fin': 'TCP FIN',
  'tcp-rst': 'TCP RST',
  fragment: 'fragment',
  other: 'other',
};

export function kindColor(kind: PacketKind): string {
  return `var(--kind-${kind})`;
}

/** The colours of all kinds as the canvas needs them: read from the theme. */
export function kindPalette(element: Element): string[] {
  const style = getComputedStyle(element);
  return PACKET_KINDS.map((kind) => style.getPropertyValue(`--kind-${kind}`).trim());
}
