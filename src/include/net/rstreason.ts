/** Why a RST is sent. Counterpart of include/net/rstreason.h; drop reasons have their own numbers there. */
import {
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_TCP_ABORT_ON_DATA,
  SKB_DROP_REASON_TCP_ACK_UNSENT_DATA,
  SKB_DROP_REASON_TCP_FLAGS,
  SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE,
  SKB_DROP_REASON_TCP_OLD_ACK,
  SKB_DROP_REASON_TCP_RFC7323_PAWS,
  SKB_DROP_REASON_TCP_TOO_OLD_ACK,
} from '#uapi/net_dropreason.ts';

export const SK_RST_REASON_NOT_SPECIFIED = 0;
export const SK_RST_REASON_NO_SOCKET = 1;
export const SK_RST_REASON_TCP_INVALID_ACK_SEQUENCE = 2;
export const SK_RST_REASON_TCP_RFC7323_PAWS = 3;
export const SK_RST_REASON_TCP_TOO_OLD_ACK = 4;
export const SK_RST_REASON_TCP_ACK_UNSENT_DATA = 5;
export const SK_RST_REASON_TCP_FLAGS = 6;
export const SK_RST_REASON_TCP_OLD_ACK = 7;
export const SK_RST_REASON_TCP_ABORT_ON_DATA = 8;
export const SK_RST_REASON_TCP_TIMEWAIT_SOCKET = 9;
export const SK_RST_REASON_INVALID_SYN = 10;
export const SK_RST_REASON_TCP_ABORT_ON_CLOSE = 11;
export const SK_RST_REASON_TCP_ABORT_ON_LINGER = 12;
export const SK_RST_REASON_TCP_ABORT_ON_MEMORY = 13;
export const SK_RST_REASON_TCP_STATE = 14;
export const SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT = 15;
export const SK_RST_REASON_TCP_DISCONNECT_WITH_DATA = 16;

/** @kernel sk_rst_convert_drop_reason include/net/rstreason.h */
export function skRstConvertDropReason(reason: number): number {
  switch (reason) {
    case SKB_DROP_REASON_NO_SOCKET:
      return SK_RST_REASON_NO_SOCKET;
    case SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE:
      return SK_RST_REASON_TCP_INVALID_ACK_SEQUENCE;
    case SKB_DROP_REASON_TCP_RFC7323_PAWS:
      return SK_RST_REASON_TCP_RFC7323_PAWS;
    case SKB_DROP_REASON_TCP_TOO_OLD_ACK:
      return SK_RST_REASON_TCP_TOO_OLD_ACK;
    case SKB_DROP_REASON_TCP_ACK_UNSENT_DATA:
      return SK_RST_REASON_TCP_ACK_UNSENT_DATA;
    case SKB_DROP_REASON_TCP_FLAGS:
      return SK_RST_REASON_TCP_FLAGS;
    case SKB_DROP_REASON_TCP_OLD_ACK:
      return SK_RST_REASON_TCP_OLD_ACK;
    case SKB_DROP_REASON_TCP_ABORT_ON_DATA:
      return SK_RST_REASON_TCP_ABORT_ON_DATA;
    default:
      return SK_RST_REASON_NOT_SPECIFIED;
  }
}
