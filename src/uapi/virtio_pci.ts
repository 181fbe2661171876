/*
 * virtio over PCI, modern: vendor capabilities that say where a device's registers lie, and the
 * registers of the common configuration. Kernel counterpart: include/uapi/linux/virtio_pci.h.
 * Virtio 1.2 section 4.1.4. Little-endian.
 *
 * +---------------+---------------+---------------+---------------+
 * |  cap id 0x09  |     next      |    length     |     type      |
 * +---------------+---------------+---------------+---------------+
 * |      bar      |      id       |            padding            |
 * +---------------+---------------+---------------+---------------+
 * |                      offset within the bar                    |
 * +---------------+---------------+---------------+---------------+
 * |                            length                             |
 * +---------------+---------------+---------------+---------------+
 * |          notify_off_multiplier (type 2 only)                  |
 * +---------------+---------------+---------------+---------------+
 */

/** @kernel PCI_CAP_ID_VNDR include/uapi/linux/pci_regs.h */
export const PCI_CAP_ID_VNDR = 0x09;

// Types of capabilities.
export const VIRTIO_PCI_CAP_COMMON_CFG = 1;
export const VIRTIO_PCI_CAP_NOTIFY_CFG = 2;
export const VIRTIO_PCI_CAP_ISR_CFG = 3;
export const VIRTIO_PCI_CAP_DEVICE_CFG = 4;
export const VIRTIO_PCI_CAP_PCI_CFG = 5;

// Fields of a capability.
export const VIRTIO_PCI_CAP_LEN = 2;
export const VIRTIO_PCI_CAP_CFG_TYPE = 3;
export const VIRTIO_PCI_CAP_BAR = 4;
export const VIRTIO_PCI_CAP_OFFSET = 8;
export const VIRTIO_PCI_CAP_LENGTH = 12;
export const VIRTIO_PCI_NOTIFY_CAP_MULT = 16;
export const VIRTIO_PCI_CAP_SIZEOF = 16;
export const VIRTIO_PCI_NOTIFY_CAP_SIZEOF = 20;

// Common configuration.
export const VIRTIO_PCI_COMMON_DFSELECT = 0;
export const VIRTIO_PCI_COMMON_DF = 4;
export const VIRTIO_PCI_COMMON_GFSELECT = 8;
export const VIRTIO_PCI_COMMON_GF = 12;
export const VIRTIO_PCI_COMMON_MSIX = 16;
export const VIRTIO_PCI_COMMON_NUMQ = 18;
export const VIRTIO_PCI_COMMON_STATUS = 20;
export const VIRTIO_PCI_COMMON_CFGGENERATION = 21;
export const VIRTIO_PCI_COMMON_Q_SELECT = 22;
export const VIRTIO_PCI_COMMON_Q_SIZE = 24;
export const VIRTIO_PCI_COMMON_Q_MSIX = 26;
export const VIRTIO_PCI_COMMON_Q_ENABLE = 28;
export const VIRTIO_PCI_COMMON_Q_NOFF = 30;
export const VIRTIO_PCI_COMMON_Q_DESCLO = 32;
export const VIRTIO_PCI_COMMON_Q_DESCHI = 36;
export const VIRTIO_PCI_COMMON_Q_AVAILLO = 40;
export const VIRTIO_PCI_COMMON_Q_AVAILHI = 44;
export const VIRTIO_PCI_COMMON_Q_USEDLO = 48;
export const VIRTIO_PCI_COMMON_Q_USEDHI = 52;
export const VIRTIO_PCI_COMMON_CFG_SIZEOF = 56;

// Interrupt status; reading clears it.
export const VIRTIO_PCI_ISR_QUEUE = 1;
export const VIRTIO_PCI_ISR_CONFIG = 2;

/** No vector: an event of this source makes no interrupt. */
export const VIRTIO_MSI_NO_VECTOR = 0xffff;
