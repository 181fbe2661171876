import { describe, expect, it } from 'vitest';
import { DEVICE_INITCALL, FS_INITCALL, type InitcallLevel } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import type { Machine } from '#kernel/machine.ts';
import { sortModules } from '#kernel/module.ts';
import { EINVAL } from '#uapi/errno.ts';

const host = { readClock: () => 0, kick: () => {}, timerChanged: () => {} };

function boot(modules: readonly KernelModule[]): Machine {
  return bootMachine({ name: 'm', host, seed: 1, bootEpochSec: 1e9, modules });
}

function module(
  name: string,
  depends: readonly string[] = [],
  level: InitcallLevel = DEVICE_INITCALL,
  init: (machine: Machine) => number = () => 0,
  exit: ((machine: Machine) => void) | null = null,
): KernelModule {
  return { name, config: null, depends, level, init, exit };
}

const namesOf = (modules: readonly KernelModule[]): string[] => modules.map(({ name }) => name);

describe('the order of modules', () => {
  it('is that of levels, and within a level the one given', () => {
    const order = sortModules([module('b'), module('fs', [], FS_INITCALL), module('a')]);
    expect(namesOf(order)).toEqual(['fs', 'b', 'a']);
  });

  it('puts what one needs before it', () => {
    const order = sortModules(
      [module('card', ['bus']), module('lamp'), module('bus', ['clock'])].concat(module('clock')),
    );
    expect(namesOf(order)).toEqual(['clock', 'bus', 'card', 'lamp']);
  });

  it('counts one that is given twice once', () => {
    const bus = module('bus');
    expect(namesOf(sortModules([bus, module('card', ['bus']), bus]))).toEqual(['bus', 'card']);
  });

  it('says which module is missing, and who wants it', () => {
    expect(() => sortModules([module('card', ['bus'])])).toThrow(
      'card needs bus: module not found',
    );
  });

  it('shows a circle', () => {
    const circle = [module('a', ['b']), module('b', ['c']), module('c', ['b'])];
    expect(() => sortModules(circle)).toThrow('b -> c -> b');
  });

  it('refuses two modules of one name', () => {
    expect(() => sortModules([module('a'), module('a')])).toThrow('two modules are called a');
  });
});

describe('modules of a machine', () => {
  it('come up and go in the reverse order', () => {
    const said: string[] = [];
    const talker = (name: string, depends: readonly string[]): KernelModule =>
      module(
        name,
        depends,
        DEVICE_INITCALL,
        () => {
          said.push(`+${name}`);
          return 0;
        },
        () => said.push(`-${name}`),
      );
    const machine = boot([talker('card', ['bus']), talker('bus', [])]);
    expect(namesOf(machine.modules).slice(-2)).toEqual(['bus', 'card']);
    haltMachine(machine);
    expect(said).toEqual(['+bus', '+card', '-card', '-bus']);
  });

  it('stop the boot when one refuses', () => {
    expect(() => boot([module('card', [], DEVICE_INITCALL, () => -EINVAL)])).toThrow(
      `card failed with ${-EINVAL}`,
    );
  });

  it('have no name twice in defconfig, and all that they need', () => {
    expect(new Set(namesOf(defconfig)).size).toBe(defconfig.length);
    expect(sortModules(defconfig)).toHaveLength(defconfig.length);
  });
});
