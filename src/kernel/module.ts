/**
 * Which modules a kernel has, and in which order they come up. Counterpart of kernel/module/main.c
 * and do_initcalls() of init/main.c.
 */
import type { KernelModule } from '#include/linux/module.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';

function byName(modules: readonly KernelModule[]): ReadonlyMap<string, KernelModule> {
  const names = new Map<string, KernelModule>();
  for (const module of modules) {
    const other = names.get(module.name);
    if (other !== undefined && other !== module) {
      throw new KernelBug('module-twice', `two modules are called ${module.name}`);
    }
    names.set(module.name, module);
  }
  return names;
}

/**
 * The order in which modules come up: by level, within a level as given, and what one depends on
 * before it. One that is given twice counts once. Throws KernelBug when a dependency is missing or
 * goes round in a circle.
 * @kernel resolve_symbol kernel/module/main.c
 */
export function sortModules(modules: readonly KernelModule[]): KernelModule[] {
  const names = byName(modules);
  const order: KernelModule[] = [];
  const path: string[] = [];
  const visit = (module: KernelModule): void => {
    if (order.includes(module)) return;
    const { name, depends } = module;
    if (path.includes(name)) {
      const circle = [...path.slice(path.indexOf(name)), name].join(' -> ');
      throw new KernelBug('module-cycle', `modules depend on each other: ${circle}`);
    }
    path.push(name);
    for (const wanted of depends) {
      const dependency = names.get(wanted);
      if (dependency === undefined) {
        throw new KernelBug('module-depends', `${name} needs ${wanted}: module not found`);
      }
      visit(dependency);
    }
    path.pop();
    order.push(module);
  };
  for (const module of [...names.values()].sort((a, b) => a.level - b.level)) visit(module);
  return order;
}

/** Brings the modules up. Throws KernelBug when one refuses. @kernel do_initcalls init/main.c */
export function doInitcalls(machine: Machine, modules: readonly KernelModule[]): void {
  for (const module of sortModules(modules)) {
    const err = module.init(machine);
    if (err !== 0) throw new KernelBug('initcall', `${module.name} failed with ${err}`);
    machine.modules.push(module);
  }
}

/** Takes them down, last first: what each exit has left pending, `settle` lets happen. */
export function exitModules(machine: Machine, settle: (machine: Machine) => void): void {
  for (const { exit } of machine.modules.splice(0).reverse()) {
    if (exit === null) continue;
    exit(machine);
    settle(machine);
  }
}
