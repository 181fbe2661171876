/** TCP Fast Open as a module. Counterpart: net/ipv4/tcp_fastopen.c, which Linux always has. RFC 7413. */
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Machine } from '#kernel/machine.ts';
import { tryFastopen } from '#net/ipv4/tcp_fastopen.ts';
import {
  activeDetectBlackhole,
  activeDisable,
  activeDisableOfoCheck,
  deferConnect,
} from '#net/ipv4/tcp_fastopen_active.ts';
import {
  fastopenGetKey,
  fastopenListen,
  fastopenSetKey,
  fastopenSetsockopt,
} from '#net/ipv4/tcp_fastopen_key.ts';
import { rcvFastopenSynack, rcvSynrecvStateFastopen } from '#net/ipv4/tcp_input_fastopen.ts';
import { sendSynData } from '#net/ipv4/tcp_output_fastopen.ts';
import { sendmsgFastopen } from '#net/ipv4/tcp_sendmsg_fastopen.ts';

/** Lets TCP know of it. @kernel tcp_fastopen_init_key_once net/ipv4/tcp_fastopen.c */
function tcpFastopenInit(machine: Machine): number {
  machine.netGlobals.tcpFastopen = {
    listen: fastopenListen,
    activeDisable,
    activeDisableOfoCheck,
    activeDetectBlackhole,
    sendSynData,
    rcvSynack: rcvFastopenSynack,
    rcvSynrecvState: rcvSynrecvStateFastopen,
    deferConnect,
    tryFastopen,
    sendmsg: sendmsgFastopen,
    setsockopt: fastopenSetsockopt,
    setKey: fastopenSetKey,
    getKey: fastopenGetKey,
  };
  return 0;
}

export const tcpFastopenModule: KernelModule = {
  name: 'tcp_fastopen',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: tcpFastopenInit,
  exit: null,
};
