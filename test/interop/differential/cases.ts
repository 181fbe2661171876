/** Random cases, by theme. The same seed gives the same case. */

import { optionCalls } from './calls.ts';
import type { Scene } from './scene.ts';
import { Scene as NewScene } from './scene.ts';
import type { Case } from './steps.ts';
import { arpTraffic } from './traffic_arp.ts';
import { igmpTraffic } from './traffic_igmp.ts';
import { ipTraffic } from './traffic_ip.ts';
import { socketTraffic } from './traffic_sockets.ts';

const THEMES: Readonly<Record<string, (scene: Scene) => void>> = {
  arp: arpTraffic,
  ip: ipTraffic,
  igmp: igmpTraffic,
  sockets: socketTraffic,
  calls: optionCalls,
};

export const THEME_NAMES: readonly string[] = Object.keys(THEMES);

export function makeCase(theme: string, seed: string | number): Case {
  const name = `${theme}/${seed}`;
  const scene = new NewScene(name);
  const traffic = THEMES[theme];
  if (traffic === undefined) throw new Error(`no theme ${theme}`);
  traffic(scene);
  return { name, steps: scene.steps };
}
