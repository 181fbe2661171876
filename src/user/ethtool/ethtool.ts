/*
 * `ethtool`: drivers' settings. Counterpart of the program of that name, in its form for ioctls.
 */
import { strerror } from '#uapi/errno.ts';
import {
  ETH_SS_STATS,
  ETHTOOL_GCOALESCE,
  ETHTOOL_GDRVINFO,
  ETHTOOL_GLINK,
  ETHTOOL_GRINGPARAM,
  ETHTOOL_GSTATS,
  ETHTOOL_SCOALESCE,
  ETHTOOL_SRINGPARAM,
  ethtoolCoalesce,
  ethtoolDrvinfo,
  ethtoolRingparam,
  ethtoolValue,
} from '#uapi/ethtool.ts';
import {
  changeChannels,
  changePrivFlags,
  showChannels,
  showPrivFlags,
} from '#user/ethtool/channels.ts';
import { BAD_COMMAND_LINE, type Run } from '#user/ethtool/command.ts';
import { changeFeatures, showFeatures } from '#user/ethtool/features.ts';
import { EthtoolDevice, textAt } from '#user/ethtool/request.ts';
import { changeFlowHash, changeRxfh, showFlowHash, showRxfh } from '#user/ethtool/rxfh.ts';
import type { Main, Process } from '#user/lib/process.ts';

const USAGE =
  'Usage:\n' +
  '        ethtool DEVNAME                     Whether the link is up\n' +
  '        ethtool -i|--driver DEVNAME         Show driver information\n' +
  '        ethtool -k|--show-features DEVNAME  Get state of features\n' +
  '        ethtool -K|--features DEVNAME FEATURE on|off ...  Set them\n' +
  '        ethtool -g|--show-ring DEVNAME      Query ring parameters\n' +
  '        ethtool -G|--set-ring DEVNAME [ rx N ] [ tx N ]   Set them\n' +
  '        ethtool -c|--show-coalesce DEVNAME  Show coalesce options\n' +
  '        ethtool -C|--coalesce DEVNAME [ rx-usecs N ] [ tx-usecs N ]  Set them\n' +
  '        ethtool -S|--statistics DEVNAME     Show adapter statistics\n' +
  '        ethtool -l|--show-channels DEVNAME  Query channels\n' +
  '        ethtool -L|--set-channels DEVNAME [ rx N ] [ tx N ] [ other N ] [ combined N ]\n' +
  '        ethtool -x|--show-rxfh DEVNAME      Show receive hash indirection table and key\n' +
  '        ethtool -X|--rxfh DEVNAME [ equal N | weight W0 W1 ... | default ] [ start N ]\n' +
  '                [ hkey XX:XX:... ] [ hfunc FUNC ]   Set them\n' +
  '        ethtool -n|--show-nfc DEVNAME rx-flow-hash FLOW          Show what is hashed\n' +
  '        ethtool -N|--config-nfc DEVNAME rx-flow-hash FLOW [mvtsdfn]...   Set it\n' +
  '        ethtool --show-priv-flags DEVNAME   Query private flags\n' +
  '        ethtool --set-priv-flags DEVNAME FLAG on|off ...         Set them\n';

/** Reads a structure; says `problem` and why when it cannot be had. */
function fetch(
  p: Process,
  device: EthtoolDevice,
  command: number,
  length: number,
  problem: string,
): DataView | null {
  const v = device.get(command, length);
  if (typeof v !== 'number') return v;
  p.warn(`${problem}: ${strerror(-v)}\n`);
  return null;
}

const showLink: Run = (p, device) => {
  p.print(`Settings for ${device.name}:\n`);
  const v = device.get(ETHTOOL_GLINK, ethtoolValue.LEN);
  if (typeof v === 'number') {
    p.print('No data available\n');
    return 75;
  }
  p.print(`\tLink detected: ${ethtoolValue.data(v, 0) !== 0 ? 'yes' : 'no'}\n`);
  return 0;
};

const showDriver: Run = (p, device) => {
  const v = fetch(p, device, ETHTOOL_GDRVINFO, ethtoolDrvinfo.LEN, 'Cannot get driver information');
  if (v === null) return 71;
  const text = (at: number): string => textAt(v, at, ethtoolDrvinfo.STRING_LEN);
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  p.print(
    `driver: ${text(ethtoolDrvinfo.DRIVER)}\nversion: ${text(ethtoolDrvinfo.VERSION)}\n` +
      `firmware-version: ${text(ethtoolDrvinfo.FW_VERSION)}\n` +
      `expansion-rom-version: ${text(ethtoolDrvinfo.EROM_VERSION)}\n` +
      `bus-info: ${text(ethtoolDrvinfo.BUS_INFO)}\n` +
      `supports-statistics: ${yes(ethtoolDrvinfo.nStats(v, 0) !== 0)}\n` +
      `supports-test: ${yes(ethtoolDrvinfo.testinfoLen(v, 0) !== 0)}\n` +
      `supports-eeprom-access: ${yes(ethtoolDrvinfo.eedumpLen(v, 0) !== 0)}\n` +
      `supports-register-dump: ${yes(ethtoolDrvinfo.regdumpLen(v, 0) !== 0)}\n` +
      `supports-priv-flags: ${yes(ethtoolDrvinfo.nPrivFlags(v, 0) !== 0)}\n`,
  );
  return 0;
};

const showRing: Run = (p, device) => {
  p.print(`Ring parameters for ${device.name}:\n`);
  const problem = 'Cannot get device ring settings';
  const v = fetch(p, device, ETHTOOL_GRINGPARAM, ethtoolRingparam.LEN, problem);
  if (v === null) return 76;
  const table = (rx: number, tx: number): string =>
    `RX:\t\t${rx}\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t${tx}\n`;
  p.print(
    'Pre-set maximums:\n' +
      table(ethtoolRingparam.rxMaxPending(v, 0), ethtoolRingparam.txMaxPending(v, 0)) +
      'Current hardware settings:\n' +
      table(ethtoolRingparam.rxPending(v, 0), ethtoolRingparam.txPending(v, 0)),
  );
  return 0;
};

const showCoalesce: Run = (p, device) => {
  p.print(`Coalesce parameters for ${device.name}:\n`);
  const problem = 'Cannot get device coalesce settings';
  const v = fetch(p, device, ETHTOOL_GCOALESCE, ethtoolCoalesce.LEN, problem);
  if (v === null) return 82;
  p.print(
    `rx-usecs:\t${ethtoolCoalesce.rxUsecs(v, 0)}\ntx-usecs:\t${ethtoolCoalesce.txUsecs(v, 0)}\n`,
  );
  return 0;
};

type Setter = (v: DataView, o: number, x: number) => void;

/** Reads a structure, changes the fields that the words name, and writes it back. */
function change(
  commands: readonly [get: number, set: number],
  length: number,
  what: string,
  fields: Readonly<Record<string, Setter>>,
  status: number,
): Run {
  return (p, device, words) => {
    const v = fetch(p, device, commands[0], length, `Cannot get device ${what} settings`);
    if (v === null) return status;
    for (let i = 0; i < words.length; i += 2) {
      const set = fields[words[i] as string];
      const value = words[i + 1] ?? '';
      if (set === undefined || !/^[0-9]+$/.test(value) || Number(value) > 0xffffffff) {
        p.warn(BAD_COMMAND_LINE);
        return 1;
      }
      set(v, 0, Number(value));
    }
    const err = device.send(commands[1], v);
    if (err < 0) p.warn(`Cannot set device ${what} parameters: ${strerror(-err)}\n`);
    return err < 0 ? status + 1 : 0;
  };
}

const changeRing: Run = change(
  [ETHTOOL_GRINGPARAM, ETHTOOL_SRINGPARAM],
  ethtoolRingparam.LEN,
  'ring',
  { rx: ethtoolRingparam.setRxPending, tx: ethtoolRingparam.setTxPending },
  80,
);

const changeCoalesce: Run = change(
  [ETHTOOL_GCOALESCE, ETHTOOL_SCOALESCE],
  ethtoolCoalesce.LEN,
  'coalesce',
  { 'rx-usecs': ethtoolCoalesce.setRxUsecs, 'tx-usecs': ethtoolCoalesce.setTxUsecs },
  83,
);

const showStatistics: Run = (p, device) => {
  const names = device.strings(ETH_SS_STATS);
  if (names.length === 0) {
    p.warn('no stats available\n');
    return 94;
  }
  const length = 8 + names.length * 8;
  const v = fetch(p, device, ETHTOOL_GSTATS, length, 'Cannot get stats information');
  if (v === null) return 96;
  const value = (at: number): bigint => v.getBigUint64(at, true);
  p.print(`NIC statistics:\n${names.map((n, i) => `     ${n}: ${value(8 + i * 8)}\n`).join('')}`);
  return 0;
};

const OPTIONS: Readonly<Record<string, Run>> = {
  '-C': changeCoalesce,
  '--coalesce': changeCoalesce,
  '-G': changeRing,
  '--set-ring': changeRing,
  '-K': changeFeatures,
  '--features': changeFeatures,
  '--offload': changeFeatures,
  '-L': changeChannels,
  '--set-channels': changeChannels,
  '-N': changeFlowHash,
  '-U': changeFlowHash,
  '--config-nfc': changeFlowHash,
  '--config-ntuple': changeFlowHash,
  '-X': changeRxfh,
  '--set-rxfh-indir': changeRxfh,
  '--rxfh': changeRxfh,
  '-l': showChannels,
  '--show-channels': showChannels,
  '-n': showFlowHash,
  '-u': showFlowHash,
  '--show-nfc': showFlowHash,
  '--show-ntuple': showFlowHash,
  '-x': showRxfh,
  '--show-rxfh-indir': showRxfh,
  '--show-rxfh': showRxfh,
  '--show-priv-flags': showPrivFlags,
  '--set-priv-flags': changePrivFlags,
  '-S': showStatistics,
  '--statistics': showStatistics,
  '-c': showCoalesce,
  '--show-coalesce': showCoalesce,
  '-g': showRing,
  '--show-ring': showRing,
  '-i': showDriver,
  '--driver': showDriver,
  '-k': showFeatures,
  '--show-features': showFeatures,
  '--show-offload': showFeatures,
};

/** Options that take words; most that show something do not. */
const CHANGES: readonly Run[] = [
  changeCoalesce,
  changeRing,
  changeFeatures,
  changeChannels,
  changeFlowHash,
  changePrivFlags,
  changeRxfh,
  showFlowHash,
];

export const main: Main = async (p) => {
  const [first = '', ...rest] = p.args;
  if (first === '-h' || first === '--help') {
    p.print(USAGE);
    return 0;
  }
  const run = first.startsWith('-') && Object.hasOwn(OPTIONS, first) ? OPTIONS[first] : showLink;
  const [name, ...words] = run === showLink ? p.args : rest;
  const refused = first.startsWith('-') && run === showLink;
  if (refused || run === undefined || name === undefined || name === '') {
    p.warn(BAD_COMMAND_LINE);
    return 1;
  }
  if (words.length > 0 && !CHANGES.includes(run)) {
    p.warn(BAD_COMMAND_LINE);
    return 1;
  }
  const device = new EthtoolDevice(p.libc, name);
  try {
    return run(p, device, words);
  } finally {
    device.close();
  }
};
