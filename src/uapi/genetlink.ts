/*
 * Generic netlink: its header, and the controller that knows the families.
 * Kernel counterpart: include/uapi/linux/genetlink.h.
 */

export const GENL_HDRLEN = 4;
export const GENL_ID_CTRL = 0x10;

/** Flags of an operation: who may ask for it, and what it can do. */
export const GENL_ADMIN_PERM = 0x01;
export const GENL_CMD_CAP_DO = 0x02;
export const GENL_CMD_CAP_DUMP = 0x04;
export const GENL_CMD_CAP_HASPOL = 0x08;

export const CTRL_CMD_NEWFAMILY = 1;
export const CTRL_CMD_GETFAMILY = 3;

export const CTRL_ATTR_FAMILY_ID = 1;
export const CTRL_ATTR_FAMILY_NAME = 2;
export const CTRL_ATTR_VERSION = 3;
export const CTRL_ATTR_HDRSIZE = 4;
export const CTRL_ATTR_MAXATTR = 5;
export const CTRL_ATTR_OPS = 6;
export const CTRL_ATTR_MAX = 10;

export const CTRL_ATTR_OP_ID = 1;
export const CTRL_ATTR_OP_FLAGS = 2;

/** struct genlmsghdr */
export const genlmsghdr = {
  LEN: 4,
  cmd: (v: DataView, o: number): number => v.getUint8(o),
  setCmd: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setVersion: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
} as const;
