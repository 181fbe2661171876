/*
 * What all virtio devices have in common: device status and the transport's feature bits.
 * Kernel counterpart: include/uapi/linux/virtio_config.h. Virtio 1.2 sections 2.1, 2.2 and 6.
 */

// Device status.
export const VIRTIO_CONFIG_S_ACKNOWLEDGE = 1;
export const VIRTIO_CONFIG_S_DRIVER = 2;
export const VIRTIO_CONFIG_S_DRIVER_OK = 4;
export const VIRTIO_CONFIG_S_FEATURES_OK = 8;
export const VIRTIO_CONFIG_S_NEEDS_RESET = 0x40;
export const VIRTIO_CONFIG_S_FAILED = 0x80;

// Feature bit numbers that belong to the transport, not to a kind of device.
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
export const VIRTIO_RING_F_EVENT_IDX = 29;
export const VIRTIO_F_VERSION_1 = 32;
export const VIRTIO_F_ACCESS_PLATFORM = 33;
export const VIRTIO_F_RING_PACKED = 34;
export const VIRTIO_F_IN_ORDER = 35;
export const VIRTIO_F_RING_RESET = 40;

/** Vendor of all virtio devices on PCI. */
export const PCI_VENDOR_ID_REDHAT_QUMRANET = 0x1af4;
/** Modern devices have this plus their virtio id as PCI device id. */
export const VIRTIO_PCI_MODERN_DEVICE_BASE = 0x1040;
