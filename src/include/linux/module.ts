/**
 * A part of the kernel that may be left out. Counterpart of include/linux/module.h and of the
 * symbols of Kconfig.
 *
 * A module is a constant that stands at the end of the file it initialises, as module_init() does:
 * whoever imports it gets the code, and what nobody imports a bundler drops. What the rest of the
 * kernel needs of it, it registers.
 */
import type { InitcallLevel } from '#include/linux/init.ts';
import type { Machine } from '#kernel/machine.ts';

/** @kernel module include/linux/module.h */
export interface KernelModule {
  /** As lsmod shows it, e.g. `e1000`. */
  readonly name: string;
  /** The symbol that chooses it in Linux, e.g. `CONFIG_E1000`; null: Linux leaves no choice. */
  readonly config: `CONFIG_${string}` | null;
  /** Names of those that must be there before it. @kernel MODULE_INFO include/linux/module.h */
  readonly depends: readonly string[];
  readonly level: InitcallLevel;
  /** 0, or a negative errno, which stops the boot. @kernel module_init include/linux/module.h */
  readonly init: (machine: Machine) => number;
  /** Undoes it when the machine halts, before its namespaces go. @kernel module_exit include/linux/module.h */
  readonly exit: ((machine: Machine) => void) | null;
}
