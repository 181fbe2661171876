/** Families of generic netlink. Counterpart of include/net/genetlink.h. */
import type { RtnlDoit, RtnlDumpit } from '#include/net/rtnetlink.ts';

/** @kernel genl_ops include/net/genetlink.h */
export interface GenlOps {
  /** GENL_ADMIN_PERM. */
  readonly flags?: number;
  readonly doit: RtnlDoit | null;
  readonly dumpit: RtnlDumpit | null;
}

/** @kernel genl_family include/net/genetlink.h */
export interface GenlFamily {
  /** Message type; given at registration. */
  id: number;
  readonly name: string;
  readonly version: number;
  readonly maxattr: number;
  /** By command. */
  readonly ops: ReadonlyMap<number, GenlOps>;
}
