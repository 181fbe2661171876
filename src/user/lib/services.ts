/*
 * Names of well-known ports and protocols: the part of /etc/services and /etc/protocols that is met daily.
 */

type Service = readonly [port: number, name: string, netids: string];

const SERVICES: readonly Service[] = [
  [1, 'tcpmux', 'tcp'],
  [7, 'echo', 'tcp udp'],
  [9, 'discard', 'tcp udp'],
  [11, 'systat', 'tcp'],
  [13, 'daytime', 'tcp udp'],
  [15, 'netstat', 'tcp'],
  [17, 'qotd', 'tcp'],
  [19, 'chargen', 'tcp udp'],
  [20, 'ftp-data', 'tcp'],
  [21, 'ftp', 'tcp'],
  [22, 'ssh', 'tcp'],
  [23, 'telnet', 'tcp'],
  [25, 'smtp', 'tcp'],
  [37, 'time', 'tcp udp'],
  [43, 'whois', 'tcp'],
  [49, 'tacacs', 'tcp udp'],
  [53, 'domain', 'tcp udp'],
  [67, 'bootps', 'udp'],
  [68, 'bootpc', 'udp'],
  [69, 'tftp', 'udp'],
  [70, 'gopher', 'tcp'],
  [79, 'finger', 'tcp'],
  [80, 'http', 'tcp'],
  [88, 'kerberos', 'tcp udp'],
  [110, 'pop3', 'tcp'],
  [111, 'sunrpc', 'tcp udp'],
  [113, 'auth', 'tcp'],
  [119, 'nntp', 'tcp'],
  [123, 'ntp', 'udp'],
  [143, 'imap2', 'tcp'],
  [161, 'snmp', 'tcp udp'],
  [162, 'snmp-trap', 'tcp udp'],
  [179, 'bgp', 'tcp'],
  [389, 'ldap', 'tcp udp'],
  [443, 'https', 'tcp udp'],
  [445, 'microsoft-ds', 'tcp udp'],
  [514, 'shell', 'tcp'],
  [514, 'syslog', 'udp'],
  [520, 'route', 'udp'],
  [546, 'dhcpv6-client', 'udp'],
  [547, 'dhcpv6-server', 'udp'],
  [554, 'rtsp', 'tcp udp'],
  [587, 'submission', 'tcp'],
  [631, 'ipp', 'tcp'],
  [636, 'ldaps', 'tcp udp'],
  [853, 'domain-s', 'tcp udp'],
  [873, 'rsync', 'tcp'],
  [993, 'imaps', 'tcp'],
  [995, 'pop3s', 'tcp'],
  [1080, 'socks', 'tcp'],
  [1194, 'openvpn', 'tcp udp'],
  [2049, 'nfs', 'tcp udp'],
  [3306, 'mysql', 'tcp'],
  [3389, 'ms-wbt-server', 'tcp'],
  [5060, 'sip', 'tcp udp'],
  [5201, 'iperf3', 'tcp'],
  [5353, 'mdns', 'udp'],
  [5432, 'postgresql', 'tcp'],
  [6379, 'redis', 'tcp'],
  [8080, 'http-alt', 'tcp udp'],
];

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  4: 'ipencap',
  6: 'tcp',
  17: 'udp',
  41: 'ipv6',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  89: 'ospf',
  132: 'sctp',
};

/** The name of a port, or of a raw socket's protocol; null for one without. */
export function serviceName(netid: string, port: number): string | null {
  if (netid === 'raw') return PROTOCOLS[port] ?? null;
  const found = SERVICES.find(([n, , netids]) => n === port && netids.split(' ').includes(netid));
  return found?.[1] ?? null;
}

/** The port of a name; null for one that is not known. */
export function servicePort(name: string): number | null {
  return SERVICES.find(([, known]) => known === name)?.[0] ?? null;
}
