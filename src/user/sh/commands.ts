/*
 * All programs by name, except the shell, which knows this list.
 */
import { main as httpd } from '#user/httpd/httpd.ts';
import { main as chargend } from '#user/inetd/chargend.ts';
import { main as discardd } from '#user/inetd/discardd.ts';
import { main as echod } from '#user/inetd/echod.ts';
import { main as ip } from '#user/ip/main.ts';
import type { Main } from '#user/lib/process.ts';
import { main as ping } from '#user/ping/ping.ts';
import { main as ss } from '#user/ss/ss.ts';
import { main as sysctl } from '#user/sysctl/sysctl.ts';

export const COMMANDS: Readonly<Record<string, Main>> = {
  chargend,
  discardd,
  echod,
  httpd,
  ip,
  ping,
  ss,
  sysctl,
};
