/*
 * Generic netlink: its header, and the controller that knows the families.
 * Kernel counterpart: include/uapi/linux/genetlink.h.
 */

export const GENL_HDRLEN = 4;
export const GENL_ID_CTRL = 0x10;

export const CTRL_CMD_NEWFAMILY = 1;
export const CTRL_CMD_GETFAMILY = 3;

export const CTRL_ATTR_FAMILY_ID = 1;
export const CTRL_ATTR_FAMILY_NAME = 2;
export const CTRL_ATTR_VERSION = 3;
export const CTRL_ATTR_HDRSIZE = 4;
export const CTRL_ATTR_MAXATTR = 5;

/** struct genlmsghdr */
export const genlmsghdr = {
  LEN: 4,
  cmd: (v: DataView, o: number): number => v.getUint8(o),
  setCmd: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setVersion: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
} as const;
