/*
 * `ethtool -k` and `-K`: features, singly and in the groups of old. Counterpart: the features part of
 * ethtool's ethtool.c.
 */

import { strerror } from '#uapi/errno.ts';
import {
  ETH_SS_FEATURES,
  ETHTOOL_GFEATURES,
  ETHTOOL_SFEATURES,
  ethtoolFeatures,
} from '#uapi/ethtool.ts';
import type { EthtoolDevice } from '#user/ethtool/request.ts';
import type { Process } from '#user/lib/process.ts';

/** A group: its word on the command line, its name, and which features belong to it. */
interface Group {
  readonly word: string;
  readonly name: string;
  readonly members: RegExp;
}

const GROUPS: readonly Group[] = [
  { word: 'rx', name: 'rx-checksumming', members: /^rx-checksum$/ },
  { word: 'tx', name: 'tx-checksumming', members: /^tx-checksum-/ },
  { word: 'sg', name: 'scatter-gather', members: /^tx-scatter-gather/ },
  { word: 'tso', name: 'tcp-segmentation-offload', members: /^tx-tcp.*-segmentation$/ },
  { word: 'gso', name: 'generic-segmentation-offload', members: /^tx-generic-segmentation$/ },
  { word: 'gro', name: 'generic-receive-offload', members: /^rx-gro$/ },
  { word: 'lro', name: 'large-receive-offload', members: /^rx-lro$/ },
  { word: 'rxvlan', name: 'rx-vlan-offload', members: /^rx-vlan-hw-parse$/ },
  { word: 'txvlan', name: 'tx-vlan-offload', members: /^tx-vlan-hw-insert$/ },
  { word: 'rxhash', name: 'receive-hashing', members: /^rx-hashing$/ },
];

/** The features of a device: names by bit, and the words of the kernel. */
interface State {
  readonly names: readonly string[];
  readonly available: number;
  readonly active: number;
  readonly neverChanged: number;
}

function getState(device: EthtoolDevice): State | number {
  const names = device.strings(ETH_SS_FEATURES);
  const v = new DataView(new ArrayBuffer(ethtoolFeatures.LEN + ethtoolFeatures.GET_BLOCK));
  ethtoolFeatures.setSize(v, 0, 1);
  const err = device.send(ETHTOOL_GFEATURES, v);
  if (err < 0) return err;
  const word = (i: number): number => v.getUint32(ethtoolFeatures.LEN + 4 * i, true);
  return { names, available: word(0), active: word(2), neverChanged: word(3) };
}

function bitsOf(state: State, matches: (name: string) => boolean): number {
  return state.names.reduce((bits, name, i) => (matches(name) ? bits | (1 << i) : bits), 0) >>> 0;
}

/** One line; ` [fixed]` when it cannot be changed. */
function line(state: State, name: string, bits: number, indent: string): string {
  const fixed = (bits & state.available & ~state.neverChanged) === 0;
  return `${indent}${name}: ${(state.active & bits) !== 0 ? 'on' : 'off'}${fixed ? ' [fixed]' : ''}\n`;
}

/** The lines of the features in `shown`. */
function describe(state: State, shown: number): string {
  let text = '';
  let grouped = 0;
  for (const { name, members } of GROUPS) {
    const bits = bitsOf(state, (feature) => members.test(feature));
    grouped |= bits;
    if ((bits & shown) === 0) continue;
    const several = (bits & (bits - 1)) !== 0;
    text += several
      ? `${name}: ${(state.active & bits) !== 0 ? 'on' : 'off'}\n`
      : line(state, name, bits, '');
    if (!several) continue;
    state.names.forEach((feature, i) => {
      if ((bits & shown & (1 << i)) !== 0) text += line(state, feature, 1 << i, '\t');
    });
  }
  state.names.forEach((feature, i) => {
    const bit = 1 << i;
    if (feature !== '' && (grouped & bit) === 0 && (shown & bit) !== 0) {
      text += line(state, feature, bit, '');
    }
  });
  return text;
}

/** `ethtool -k`. */
export function showFeatures(p: Process, device: EthtoolDevice): number {
  const state = getState(device);
  if (typeof state === 'number') {
    p.warn(`Cannot get device feature names: ${strerror(-state)}\n`);
    return 1;
  }
  p.print(`Features for ${device.name}:\n${describe(state, -1)}`);
  return 0;
}

/** A word of `-K`, and the features that it means. */
interface Wish {
  readonly bits: number;
  readonly on: boolean;
}

/** What the words ask for; null when one of them makes no sense. */
function parseWishes(words: readonly string[], state: State): Wish[] | null {
  const wishes: Wish[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i] as string;
    const value = words[i + 1];
    const group = GROUPS.find((one) => one.word === word || one.name === word);
    const bits = bitsOf(state, (name) => group?.members.test(name) ?? name === word);
    if (bits === 0 || (value !== 'on' && value !== 'off')) return null;
    wishes.push({ bits, on: value === 'on' });
  }
  return wishes.length === 0 ? null : wishes;
}

/** Sends the wishes, of which only what can change is asked for. 0 or more, or a negative errno. */
function setState(device: EthtoolDevice, valid: number, on: number): number {
  const v = new DataView(new ArrayBuffer(ethtoolFeatures.LEN + ethtoolFeatures.SET_BLOCK));
  ethtoolFeatures.setSize(v, 0, 1);
  v.setUint32(ethtoolFeatures.LEN, valid, true);
  v.setUint32(ethtoolFeatures.LEN + 4, on, true);
  return device.send(ETHTOOL_SFEATURES, v);
}

/** `ethtool -K`. */
export function changeFeatures(
  p: Process,
  device: EthtoolDevice,
  words: readonly string[],
): number {
  const before = getState(device);
  if (typeof before === 'number') {
    p.warn(`Cannot get device feature names: ${strerror(-before)}\n`);
    return 1;
  }
  const wishes = parseWishes(words, before);
  if (wishes === null) {
    p.warn('ethtool: bad command line argument(s)\nFor more information run ethtool -h\n');
    return 1;
  }
  let valid = 0;
  let on = 0;
  for (const wish of wishes) {
    const able = wish.bits & before.available;
    valid |= able;
    on = wish.on ? on | able : on & ~able;
  }
  const err = setState(device, valid, on);
  const after = err < 0 ? err : getState(device);
  if (typeof after === 'number') {
    p.warn(`Cannot set device feature settings: ${strerror(-after)}\n`);
    return 1;
  }
  const unmet = wishes.some((wish) => ((after.active & wish.bits) !== 0) !== wish.on);
  const changed = after.active ^ before.active;
  if (!unmet && (changed & ~valid) === 0) return 0;
  if (changed === 0) {
    p.warn('Could not change any device features\n');
    return 1;
  }
  p.print(`Actual changes:\n${describe(after, changed)}`);
  return 0;
}
