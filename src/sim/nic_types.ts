/** Cards that a world's machines may have, by the name of their driver, and what they can do at most. */
export const NIC_TYPES = ['e1000', 'igb', 'virtio'] as const;
export type NicType = (typeof NIC_TYPES)[number];

export const NIC_MAX_MTU: Readonly<Record<NicType, number>> = {
  e1000: 16110,
  igb: 9216,
  virtio: 65535,
};
export const NIC_MAX_QUEUES: Readonly<Record<NicType, number>> = {
  e1000: 1,
  igb: 8,
  virtio: 64,
};
