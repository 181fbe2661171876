/*
 * ethtool: commands, link settings and the string sets that a driver may be asked for.
 * Kernel counterpart: include/uapi/linux/ethtool.h. Structures are in host order, little-endian.
 */

// Commands (first word of every structure).
export const ETHTOOL_GSET = 0x1;
export const ETHTOOL_SSET = 0x2;
export const ETHTOOL_GDRVINFO = 0x3;
export const ETHTOOL_GREGS = 0x4;
export const ETHTOOL_GWOL = 0x5;
export const ETHTOOL_SWOL = 0x6;
export const ETHTOOL_GMSGLVL = 0x7;
export const ETHTOOL_SMSGLVL = 0x8;
export const ETHTOOL_GLINK = 0xa;
export const ETHTOOL_GEEPROM = 0xb;
export const ETHTOOL_SEEPROM = 0xc;
export const ETHTOOL_GCOALESCE = 0xe;
export const ETHTOOL_SCOALESCE = 0xf;
export const ETHTOOL_GRINGPARAM = 0x10;
export const ETHTOOL_SRINGPARAM = 0x11;
export const ETHTOOL_GPAUSEPARAM = 0x12;
export const ETHTOOL_SPAUSEPARAM = 0x13;
export const ETHTOOL_GRXCSUM = 0x14;
export const ETHTOOL_SRXCSUM = 0x15;
export const ETHTOOL_GTXCSUM = 0x16;
export const ETHTOOL_STXCSUM = 0x17;
export const ETHTOOL_GSG = 0x18;
export const ETHTOOL_SSG = 0x19;
export const ETHTOOL_TEST = 0x1a;
export const ETHTOOL_GSTRINGS = 0x1b;
export const ETHTOOL_GSTATS = 0x1d;
export const ETHTOOL_GTSO = 0x1e;
export const ETHTOOL_STSO = 0x1f;
export const ETHTOOL_GPERMADDR = 0x20;
export const ETHTOOL_GUFO = 0x21;
export const ETHTOOL_SUFO = 0x22;
export const ETHTOOL_GGSO = 0x23;
export const ETHTOOL_SGSO = 0x24;
export const ETHTOOL_GFLAGS = 0x25;
export const ETHTOOL_SFLAGS = 0x26;
export const ETHTOOL_GPFLAGS = 0x27;
export const ETHTOOL_SPFLAGS = 0x28;
export const ETHTOOL_GRXFH = 0x29;
export const ETHTOOL_SRXFH = 0x2a;
export const ETHTOOL_GGRO = 0x2b;
export const ETHTOOL_SGRO = 0x2c;
export const ETHTOOL_GRXRINGS = 0x2d;
export const ETHTOOL_GRXCLSRLCNT = 0x2e;
export const ETHTOOL_GRXCLSRULE = 0x2f;
export const ETHTOOL_GRXCLSRLALL = 0x30;
export const ETHTOOL_SRXCLSRLDEL = 0x31;
export const ETHTOOL_SRXCLSRLINS = 0x32;
export const ETHTOOL_RESET = 0x34;
export const ETHTOOL_SRXNTUPLE = 0x35;
export const ETHTOOL_GRXNTUPLE = 0x36;
export const ETHTOOL_GRXFHINDIR = 0x38;
export const ETHTOOL_SRXFHINDIR = 0x39;
export const ETHTOOL_GFEATURES = 0x3a;
export const ETHTOOL_SFEATURES = 0x3b;
export const ETHTOOL_GCHANNELS = 0x3c;
export const ETHTOOL_SCHANNELS = 0x3d;
export const ETHTOOL_GMODULEINFO = 0x42;
export const ETHTOOL_GMODULEEEPROM = 0x43;
export const ETHTOOL_GEEE = 0x44;
export const ETHTOOL_SEEE = 0x45;
export const ETHTOOL_GRSSH = 0x46;
export const ETHTOOL_SRSSH = 0x47;
export const ETHTOOL_GTUNABLE = 0x48;
export const ETHTOOL_STUNABLE = 0x49;
export const ETHTOOL_GPHYSTATS = 0x4a;
export const ETHTOOL_PERQUEUE = 0x4b;
export const ETHTOOL_GLINKSETTINGS = 0x4c;
export const ETHTOOL_SLINKSETTINGS = 0x4d;
export const ETHTOOL_GFECPARAM = 0x50;
export const ETHTOOL_SFECPARAM = 0x51;

// Speeds in Mbit/s.
export const SPEED_10 = 10;
export const SPEED_100 = 100;
export const SPEED_1000 = 1000;
export const SPEED_2500 = 2500;
export const SPEED_5000 = 5000;
export const SPEED_10000 = 10000;
export const SPEED_14000 = 14000;
export const SPEED_20000 = 20000;
export const SPEED_25000 = 25000;
export const SPEED_40000 = 40000;
export const SPEED_50000 = 50000;
export const SPEED_56000 = 56000;
export const SPEED_100000 = 100000;
export const SPEED_200000 = 200000;
export const SPEED_400000 = 400000;
export const SPEED_UNKNOWN = -1;

// Duplex.
export const DUPLEX_HALF = 0;
export const DUPLEX_FULL = 1;
export const DUPLEX_UNKNOWN = 255;

// Connector.
export const PORT_TP = 0;
export const PORT_AUI = 1;
export const PORT_MII = 2;
export const PORT_FIBRE = 3;
export const PORT_BNC = 4;
export const PORT_DA = 5;
export const PORT_NONE = 239;
export const PORT_OTHER = 255;

export const AUTONEG_DISABLE = 0;
export const AUTONEG_ENABLE = 1;

// String sets.
export const ETH_SS_TEST = 0;
export const ETH_SS_STATS = 1;
export const ETH_SS_PRIV_FLAGS = 2;
export const ETH_SS_NTUPLE_FILTERS = 3;
export const ETH_SS_FEATURES = 4;
export const ETH_SS_RSS_HASH_FUNCS = 5;
export const ETH_SS_TUNABLES = 6;
export const ETH_SS_PHY_STATS = 7;
export const ETH_SS_PHY_TUNABLES = 8;
export const ETH_SS_LINK_MODES = 9;
export const ETH_SS_MSG_CLASSES = 10;
export const ETH_SS_WOL_MODES = 11;
export const ETH_SS_SOF_TIMESTAMPING = 12;
export const ETH_SS_TS_TX_TYPES = 13;
export const ETH_SS_TS_RX_FILTERS = 14;
export const ETH_SS_UDP_TUNNEL_TYPES = 15;
export const ETH_SS_STATS_STD = 16;
export const ETH_SS_STATS_ETH_PHY = 17;
export const ETH_SS_STATS_ETH_MAC = 18;
export const ETH_SS_STATS_ETH_CTRL = 19;
export const ETH_SS_STATS_RMON = 20;
export const ETH_SS_STATS_PHY = 21;
export const ETH_SS_TS_FLAGS = 22;
export const ETH_SS_COUNT = 23;

export const ETH_GSTRING_LEN = 32;
export const ETHTOOL_FWVERS_LEN = 32;
export const ETHTOOL_BUSINFO_LEN = 32;
export const ETHTOOL_EROMVERS_LEN = 32;
export const ETH_MDIO_SUPPORTS_C22 = 1;
export const ETH_MDIO_SUPPORTS_C45 = 2;

// ETHTOOL_GFLAGS.
export const ETH_FLAG_TXVLAN = 0x80;
export const ETH_FLAG_RXVLAN = 0x0100;
export const ETH_FLAG_LRO = 0x8000;
export const ETH_FLAG_NTUPLE = 0x08000000;
export const ETH_FLAG_RXHASH = 0x10000000;

export const ETH_TP_MDI_INVALID = 0;
export const ETH_TP_MDI = 1;
export const ETH_TP_MDI_X = 2;
export const ETH_TP_MDI_AUTO = 3;

// Wake on LAN.
export const WAKE_PHY = 0x1;
export const WAKE_UCAST = 0x2;
export const WAKE_MCAST = 0x4;
export const WAKE_BCAST = 0x8;
export const WAKE_ARP = 0x10;
export const WAKE_MAGIC = 0x20;
export const WAKE_MAGICSECURE = 0x40;
export const WAKE_FILTER = 0x80;

// Fields that feed the receive hash.
export const RXH_L2DA = 0x2;
export const RXH_VLAN = 0x4;
export const RXH_L3_PROTO = 0x8;
export const RXH_IP_SRC = 0x10;
export const RXH_IP_DST = 0x20;
export const RXH_L4_B_0_1 = 0x40;
export const RXH_L4_B_2_3 = 0x80;
export const RXH_DISCARD = -2147483648;

// Hash functions.
export const ETH_RSS_HASH_UNKNOWN = 0;
export const ETH_RSS_HASH_NO_CHANGE = 0;
export const ETH_RSS_HASH_TOP = 1;
export const ETH_RSS_HASH_XOR = 2;
export const ETH_RSS_HASH_CRC32 = 4;

// Link modes as bit numbers.
export const ETHTOOL_LINK_MODE_10baseT_Half_BIT = 0;
export const ETHTOOL_LINK_MODE_10baseT_Full_BIT = 1;
export const ETHTOOL_LINK_MODE_100baseT_Half_BIT = 2;
export const ETHTOOL_LINK_MODE_100baseT_Full_BIT = 3;
export const ETHTOOL_LINK_MODE_1000baseT_Half_BIT = 4;
export const ETHTOOL_LINK_MODE_1000baseT_Full_BIT = 5;
export const ETHTOOL_LINK_MODE_Autoneg_BIT = 6;
export const ETHTOOL_LINK_MODE_TP_BIT = 7;
export const ETHTOOL_LINK_MODE_AUI_BIT = 8;
export const ETHTOOL_LINK_MODE_MII_BIT = 9;
export const ETHTOOL_LINK_MODE_FIBRE_BIT = 10;
export const ETHTOOL_LINK_MODE_BNC_BIT = 11;
export const ETHTOOL_LINK_MODE_10000baseT_Full_BIT = 12;
export const ETHTOOL_LINK_MODE_Pause_BIT = 13;
export const ETHTOOL_LINK_MODE_Asym_Pause_BIT = 14;
export const ETHTOOL_LINK_MODE_2500baseX_Full_BIT = 15;
export const ETHTOOL_LINK_MODE_Backplane_BIT = 16;
export const ETHTOOL_LINK_MODE_1000baseKX_Full_BIT = 17;
export const ETHTOOL_LINK_MODE_10000baseKX4_Full_BIT = 18;
export const ETHTOOL_LINK_MODE_10000baseKR_Full_BIT = 19;
export const ETHTOOL_LINK_MODE_10000baseR_FEC_BIT = 20;
export const ETHTOOL_LINK_MODE_20000baseMLD2_Full_BIT = 21;
export const ETHTOOL_LINK_MODE_20000baseKR2_Full_BIT = 22;
export const ETHTOOL_LINK_MODE_40000baseKR4_Full_BIT = 23;
export const ETHTOOL_LINK_MODE_40000baseCR4_Full_BIT = 24;
export const ETHTOOL_LINK_MODE_40000baseSR4_Full_BIT = 25;
export const ETHTOOL_LINK_MODE_40000baseLR4_Full_BIT = 26;
export const ETHTOOL_LINK_MODE_56000baseKR4_Full_BIT = 27;
export const ETHTOOL_LINK_MODE_56000baseCR4_Full_BIT = 28;
export const ETHTOOL_LINK_MODE_56000baseSR4_Full_BIT = 29;
export const ETHTOOL_LINK_MODE_56000baseLR4_Full_BIT = 30;
export const ETHTOOL_LINK_MODE_25000baseCR_Full_BIT = 31;
export const ETHTOOL_LINK_MODE_25000baseKR_Full_BIT = 32;
export const ETHTOOL_LINK_MODE_25000baseSR_Full_BIT = 33;
export const ETHTOOL_LINK_MODE_50000baseCR2_Full_BIT = 34;
export const ETHTOOL_LINK_MODE_50000baseKR2_Full_BIT = 35;
export const ETHTOOL_LINK_MODE_100000baseKR4_Full_BIT = 36;
export const ETHTOOL_LINK_MODE_100000baseSR4_Full_BIT = 37;
export const ETHTOOL_LINK_MODE_100000baseCR4_Full_BIT = 38;
export const ETHTOOL_LINK_MODE_100000baseLR4_ER4_Full_BIT = 39;
export const ETHTOOL_LINK_MODE_50000baseSR2_Full_BIT = 40;
export const ETHTOOL_LINK_MODE_1000baseX_Full_BIT = 41;
export const ETHTOOL_LINK_MODE_10000baseCR_Full_BIT = 42;
export const ETHTOOL_LINK_MODE_10000baseSR_Full_BIT = 43;
export const ETHTOOL_LINK_MODE_10000baseLR_Full_BIT = 44;
export const ETHTOOL_LINK_MODE_10000baseLRM_Full_BIT = 45;
export const ETHTOOL_LINK_MODE_10000baseER_Full_BIT = 46;
export const ETHTOOL_LINK_MODE_2500baseT_Full_BIT = 47;
export const ETHTOOL_LINK_MODE_5000baseT_Full_BIT = 48;
export const ETHTOOL_LINK_MODE_FEC_NONE_BIT = 49;
export const ETHTOOL_LINK_MODE_FEC_RS_BIT = 50;
export const ETHTOOL_LINK_MODE_FEC_BASER_BIT = 51;
export const ETHTOOL_LINK_MODE_50000baseKR_Full_BIT = 52;
export const ETHTOOL_LINK_MODE_50000baseSR_Full_BIT = 53;
export const ETHTOOL_LINK_MODE_50000baseCR_Full_BIT = 54;
export const ETHTOOL_LINK_MODE_50000baseLR_ER_FR_Full_BIT = 55;
export const ETHTOOL_LINK_MODE_50000baseDR_Full_BIT = 56;
export const ETHTOOL_LINK_MODE_100000baseKR2_Full_BIT = 57;
export const ETHTOOL_LINK_MODE_100000baseSR2_Full_BIT = 58;
export const ETHTOOL_LINK_MODE_100000baseCR2_Full_BIT = 59;
export const ETHTOOL_LINK_MODE_100000baseLR2_ER2_FR2_Full_BIT = 60;
export const ETHTOOL_LINK_MODE_100000baseDR2_Full_BIT = 61;
export const ETHTOOL_LINK_MODE_200000baseKR4_Full_BIT = 62;
export const ETHTOOL_LINK_MODE_200000baseSR4_Full_BIT = 63;
export const ETHTOOL_LINK_MODE_200000baseLR4_ER4_FR4_Full_BIT = 64;
export const ETHTOOL_LINK_MODE_200000baseDR4_Full_BIT = 65;
export const ETHTOOL_LINK_MODE_200000baseCR4_Full_BIT = 66;
export const ETHTOOL_LINK_MODE_100baseT1_Full_BIT = 67;
export const ETHTOOL_LINK_MODE_1000baseT1_Full_BIT = 68;
export const ETHTOOL_LINK_MODE_400000baseKR8_Full_BIT = 69;
export const ETHTOOL_LINK_MODE_400000baseSR8_Full_BIT = 70;
export const ETHTOOL_LINK_MODE_400000baseLR8_ER8_FR8_Full_BIT = 71;
export const ETHTOOL_LINK_MODE_400000baseDR8_Full_BIT = 72;
export const ETHTOOL_LINK_MODE_400000baseCR8_Full_BIT = 73;
export const ETHTOOL_LINK_MODE_FEC_LLRS_BIT = 74;
export const ETHTOOL_LINK_MODE_100000baseKR_Full_BIT = 75;
export const ETHTOOL_LINK_MODE_100000baseSR_Full_BIT = 76;
export const ETHTOOL_LINK_MODE_100000baseLR_ER_FR_Full_BIT = 77;
export const ETHTOOL_LINK_MODE_100000baseCR_Full_BIT = 78;
export const ETHTOOL_LINK_MODE_100000baseDR_Full_BIT = 79;
export const ETHTOOL_LINK_MODE_200000baseKR2_Full_BIT = 80;
export const ETHTOOL_LINK_MODE_200000baseSR2_Full_BIT = 81;
export const ETHTOOL_LINK_MODE_200000baseLR2_ER2_FR2_Full_BIT = 82;
export const ETHTOOL_LINK_MODE_200000baseDR2_Full_BIT = 83;
export const ETHTOOL_LINK_MODE_200000baseCR2_Full_BIT = 84;
export const ETHTOOL_LINK_MODE_400000baseKR4_Full_BIT = 85;
export const ETHTOOL_LINK_MODE_400000baseSR4_Full_BIT = 86;
export const ETHTOOL_LINK_MODE_400000baseLR4_ER4_FR4_Full_BIT = 87;
export const ETHTOOL_LINK_MODE_400000baseDR4_Full_BIT = 88;
export const ETHTOOL_LINK_MODE_400000baseCR4_Full_BIT = 89;
export const ETHTOOL_LINK_MODE_100baseFX_Half_BIT = 90;
export const ETHTOOL_LINK_MODE_100baseFX_Full_BIT = 91;
export const ETHTOOL_LINK_MODE_10baseT1L_Full_BIT = 92;

/** struct ethtool_ringparam: ring sizes in descriptors. */
export const ethtoolRingparam = {
  LEN: 36,
  cmd: (v: DataView, o: number): number => v.getUint32(o, true),
  rxMaxPending: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  rxMiniMaxPending: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  rxJumboMaxPending: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  txMaxPending: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  rxPending: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  rxMiniPending: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  rxJumboPending: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  txPending: (v: DataView, o: number): number => v.getUint32(o + 32, true),
  setCmd: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setRxMaxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setRxMiniMaxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setRxJumboMaxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setTxMaxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
  setRxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
  setRxMiniPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setRxJumboPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
  setTxPending: (v: DataView, o: number, x: number): void => v.setUint32(o + 32, x, true),
} as const;

/** struct ethtool_channels: numbers of queues. */
export const ethtoolChannels = {
  LEN: 36,
  cmd: (v: DataView, o: number): number => v.getUint32(o, true),
  maxRx: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  maxTx: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  maxOther: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  maxCombined: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  rxCount: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  txCount: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  otherCount: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  combinedCount: (v: DataView, o: number): number => v.getUint32(o + 32, true),
  setCmd: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setMaxRx: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setMaxTx: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setMaxOther: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setMaxCombined: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
  setRxCount: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
  setTxCount: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setOtherCount: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
  setCombinedCount: (v: DataView, o: number, x: number): void => v.setUint32(o + 32, x, true),
} as const;

/** struct ethtool_value: commands that carry one number. */
export const ethtoolValue = {
  LEN: 8,
  cmd: (v: DataView, o: number): number => v.getUint32(o, true),
  data: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setCmd: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setData: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;

/** struct ethtool_drvinfo: offsets and widths of its strings. */
export const ethtoolDrvinfo = {
  LEN: 196,
  DRIVER: 4,
  VERSION: 36,
  FW_VERSION: 68,
  BUS_INFO: 100,
  EROM_VERSION: 132,
  STRING_LEN: 32,
  nPrivFlags: (v: DataView, o: number): number => v.getUint32(o + 176, true),
  nStats: (v: DataView, o: number): number => v.getUint32(o + 180, true),
  testinfoLen: (v: DataView, o: number): number => v.getUint32(o + 184, true),
  eedumpLen: (v: DataView, o: number): number => v.getUint32(o + 188, true),
  regdumpLen: (v: DataView, o: number): number => v.getUint32(o + 192, true),
  setNPrivFlags: (v: DataView, o: number, x: number): void => v.setUint32(o + 176, x, true),
  setNStats: (v: DataView, o: number, x: number): void => v.setUint32(o + 180, x, true),
  setTestinfoLen: (v: DataView, o: number, x: number): void => v.setUint32(o + 184, x, true),
  setEedumpLen: (v: DataView, o: number, x: number): void => v.setUint32(o + 188, x, true),
  setRegdumpLen: (v: DataView, o: number, x: number): void => v.setUint32(o + 192, x, true),
} as const;

export const ETHTOOL_GSSET_INFO = 0x37;

// What became of a wish for features: bits of the result of ETHTOOL_SFEATURES.
export const ETHTOOL_F_UNSUPPORTED = 0x1;
export const ETHTOOL_F_WISH = 0x2;
export const ETHTOOL_F_COMPAT = 0x4;

/** struct ethtool_coalesce: of its 23 words the two delays, in us. */
export const ethtoolCoalesce = {
  LEN: 92,
  rxUsecs: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  txUsecs: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  setRxUsecs: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setTxUsecs: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
} as const;

/** struct ethtool_gstrings: set and number, the names of 32 bytes behind. */
export const ethtoolStrings = {
  LEN: 12,
  set: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  length: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setSet: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setLength: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;

/** struct ethtool_sset_info: a mask of 64 sets, of which the lower 32 are used; sizes behind. */
export const ethtoolSsetInfo = {
  LEN: 16,
  mask: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setMask: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;

/** struct ethtool_gfeatures, ethtool_sfeatures: number of blocks, the blocks behind. */
export const ethtoolFeatures = {
  LEN: 8,
  /** Available, requested, active, never changed. */
  GET_BLOCK: 16,
  /** Valid, requested. */
  SET_BLOCK: 8,
  size: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setSize: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;

// Kinds of flows whose hash can be asked after.
export const TCP_V4_FLOW = 0x01;
export const UDP_V4_FLOW = 0x02;
export const SCTP_V4_FLOW = 0x03;
export const AH_ESP_V4_FLOW = 0x04;
export const TCP_V6_FLOW = 0x05;
export const UDP_V6_FLOW = 0x06;
export const SCTP_V6_FLOW = 0x07;
export const AH_ESP_V6_FLOW = 0x08;
export const IPV4_FLOW = 0x10;
export const IPV6_FLOW = 0x11;

/** In place of an indirection table's size: leave the table alone. */
export const ETH_RXFH_INDIR_NO_CHANGE = 0xffffffff;

/** struct ethtool_rxnfc as the commands about hashing use it; the length is its first part's. */
export const ethtoolRxnfc = {
  LEN: 16,
  flowType: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  /** Of the 64 bits the lower 32. */
  data: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setFlowType: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setData: (v: DataView, o: number, x: number): void => {
    v.setUint32(o + 8, x, true);
    v.setUint32(o + 12, 0, true);
  },
} as const;

/** struct ethtool_rxfh: sizes of table and key, the hash function; table (words) and key behind. */
export const ethtoolRxfh = {
  LEN: 24,
  rssContext: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  indirSize: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  keySize: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  hfunc: (v: DataView, o: number): number => v.getUint8(o + 16),
  setIndirSize: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setKeySize: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setHfunc: (v: DataView, o: number, x: number): void => v.setUint8(o + 16, x),
} as const;
