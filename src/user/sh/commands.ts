/*
 * All programs by name, except the shell, which knows this list.
 */
import { dd, rm } from '#user/coreutils/files.ts';
import {
  echo,
  failure,
  hostname,
  ls,
  seq,
  sleep,
  success,
  uname,
  yes,
} from '#user/coreutils/system.ts';
import { cat, grep, head, tail, wc } from '#user/coreutils/text.ts';
import { main as ethtool } from '#user/ethtool/ethtool.ts';
import { main as hping3 } from '#user/hping/hping3.ts';
import { main as curl } from '#user/http/curl.ts';
import { main as httpd } from '#user/httpd/httpd.ts';
import { main as chargend } from '#user/inetd/chargend.ts';
import { main as discardd } from '#user/inetd/discardd.ts';
import { main as echod } from '#user/inetd/echod.ts';
import { main as ip } from '#user/ip/main.ts';
import { main as iperf3 } from '#user/iperf3/iperf3.ts';
import type { Main } from '#user/lib/process.ts';
import { main as nc } from '#user/nc/nc.ts';
import { main as nstat } from '#user/nstat/nstat.ts';
import { main as ping } from '#user/ping/ping.ts';
import { main as ss } from '#user/ss/ss.ts';
import { main as sysctl } from '#user/sysctl/sysctl.ts';
import { main as taskset } from '#user/taskset/taskset.ts';
import { main as tc } from '#user/tc/tc.ts';
import { main as traceroute } from '#user/traceroute/traceroute.ts';

export const COMMANDS: Readonly<Record<string, Main>> = {
  cat,
  chargend,
  curl,
  dd,
  discardd,
  echo,
  echod,
  ethtool,
  false: failure,
  grep,
  head,
  hostname,
  hping3,
  httpd,
  ip,
  iperf3,
  ls,
  nc,
  nstat,
  ping,
  rm,
  seq,
  sleep,
  ss,
  sysctl,
  tail,
  taskset,
  tc,
  traceroute,
  true: success,
  uname,
  wc,
  yes,
};
