/**
 * Parameters of modules, as /sys/module/NAME/parameters shows them. Counterpart of kernel/params.c.
 */
import type { CtlTable } from '#kernel/sysctl.ts';

/** A parameter is read and written like a sysctl. @kernel kernel_param include/linux/moduleparam.h */
export type KernelParam = CtlTable;

export class ModuleParams {
  private readonly modules: Map<string, ReadonlyMap<string, KernelParam>>;

  constructor() {
    this.modules = new Map();
  }

  /** @kernel module_param_sysfs_setup kernel/params.c */
  register(module: string, params: readonly KernelParam[]): void {
    this.modules.set(module, new Map(params.map((param) => [param.procname, param])));
  }

  /** The parameters of a module by their names; null: there is no such module. */
  of(module: string): ReadonlyMap<string, KernelParam> | null {
    return this.modules.get(module) ?? null;
  }

  /** Names of the modules, sorted. */
  list(): string[] {
    return [...this.modules.keys()].sort();
  }
}
