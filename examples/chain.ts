/** A chain of routers, made by a loop: what a file of YAML cannot do. The far end is pinged at the end. */
const ROUTERS = 4;

const name = (i: number): string => `r${i}`;
const nodes: Record<string, object> = {};
const links: object[] = [];
for (let i = 0; i <= ROUTERS + 1; i++) {
  const exec: string[] = [];
  if (i > 0) exec.push(`ip addr add 10.0.${i}.2/24 dev eth0`, 'ip link set eth0 up');
  if (i <= ROUTERS) exec.push(`ip addr add 10.0.${i + 1}.1/24 dev eth1`, 'ip link set eth1 up');
  if (i > 0 && i < ROUTERS) exec.push(`ip route add 10.0.${ROUTERS + 1}.0/24 via 10.0.${i + 1}.2`);
  if (i > 1) exec.push(`ip route add 10.0.1.0/24 via 10.0.${i}.1`);
  nodes[name(i)] = { sysctls: { 'net.ipv4.ip_forward': 1 }, exec };
  if (i > 0) {
    links.push({
      endpoints: [`${name(i - 1)}:eth1`, `${name(i)}:eth0`],
      impairments: { delay: '1ms' },
    });
  }
}
nodes[name(0)] = {
  exec: [
    'ip addr add 10.0.1.1/24 dev eth1',
    'ip link set eth1 up',
    'ip route add default via 10.0.1.2',
  ],
  programs: [`ping -c 3 10.0.${ROUTERS + 1}.2`],
};

export const topology: object = { nodes: nodes, links: links };
