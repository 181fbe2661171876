/**
 * Half a million random segments that look valid into each of TCP's eleven states, under a model
 * written from RFC 9293, RFC 5961 and RFC 7323 (tcp_model.ts): sequence acceptance, nothing delivered
 * twice or out of order, no ACK of what was not received, windows that do not shrink, RST, SYN and ACK
 * challenges, the state diagram, and what is sent again being what was sent before.
 *
 * Without CI it is a tenth of that; SOFTNET_FUZZ_SEGMENTS says how many, SOFTNET_FUZZ_SEED which.
 */
import { env } from 'node:process';
import { describe, expect, it } from 'vitest';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';
import { TCP_STATE_RFC_NAMES } from '#uapi/tcp_states.ts';
import type { Door as DoorType, Segment } from './tcp_door.ts';

const COUNT = Number(env['SOFTNET_FUZZ_SEGMENTS'] ?? (env['CI'] === 'true' ? 500_000 : 20_000));
const SEED = Number(env['SOFTNET_FUZZ_SEED'] ?? 1);
const MINUTES = 60_000;

// Debug mode poisons each packet's memory, which costs more than all the rest: millions run without.
if (COUNT > 100_000) Object.assign(globalThis, { softnetConfig: { debug: false } });
const { ACK, Door, FIN, RST, SYN } = await import('./tcp_door.ts');
const { ModelError } = await import('./tcp_model.ts');
const { fuzzState, STATES } = await import('./tcp_states.ts');

describe('random segments that look valid', () => {
  for (const state of STATES) {
    const name = TCP_STATE_RFC_NAMES[state];
    it(`${COUNT} into ${name} break no rule, seed ${SEED}`, { timeout: 20 * MINUTES }, () => {
      const door = new Door(SEED);
      const report = fuzzState(door, state, COUNT, SEED * 16 + state);
      expect(report.segments).toBe(COUNT);
      expect(door.rig.end()).toEqual({});
    });
  }
});

/** A fault between the machine and the model, as a wrong stack would have it inside. */
interface Fault {
  readonly what: string;
  readonly state: number;
  readonly says: RegExp;
  readonly plant: (door: DoorType) => void;
}

/** Alters what `when` picks of the segments that the machine sends, once in a while. */
function outward(when: (s: Segment) => boolean, alter: (s: Segment) => unknown) {
  return (door: DoorType): void => {
    let n = 0;
    door.tamperOut = (s) => !when(s) || ++n % 7 !== 0 || alter(s) !== false;
  };
}

function inward(when: (s: Segment) => boolean, alter: (s: Segment) => void) {
  return (door: DoorType): void => {
    let armed = false;
    // Not before the connection stands.
    door.tamperOut = (s) => {
      armed ||= !s.has(SYN | RST);
      return true;
    };
    door.tamperIn = (s) => {
      if (armed && when(s)) alter(s);
      return true;
    };
  };
}

const plainAck = (s: Segment): boolean => s.flags === ACK && s.len === 0;
const withData = (s: Segment): boolean => s.len !== 0;
const always = (): boolean => true;

const FAULTS: readonly Fault[] = [
  {
    what: 'an ACK runs ahead of the data',
    state: TCP_ESTABLISHED,
    says: /an ACK of what was not received/,
    plant: outward(plainAck, (s) => {
      s.ack = (s.ack + 1) | 0;
    }),
  },
  {
    what: 'an ACK goes back',
    state: TCP_ESTABLISHED,
    says: /an ACK went back/,
    plant: outward(plainAck, (s) => {
      s.ack = (s.ack - 1) | 0;
    }),
  },
  {
    what: 'the window shrinks',
    state: TCP_ESTABLISHED,
    says: /the window shrank/,
    plant: outward(plainAck, (s) => {
      s.win >>= 2;
    }),
  },
  {
    what: 'a byte is sent wrong',
    state: TCP_CLOSE_WAIT,
    says: /other bytes than the program wrote/,
    plant: outward(withData, (s) => {
      s.packet[s.payloadAt + s.len - 1] = (s.packet[s.payloadAt + s.len - 1] ?? 0) ^ 1;
    }),
  },
  {
    what: 'a byte is sent at another place',
    state: TCP_FIN_WAIT1,
    says: /other bytes|bytes nobody wrote|a hole|a FIN before the end/,
    plant: outward(withData, (s) => {
      s.seq = (s.seq + 1) | 0;
    }),
  },
  {
    what: 'a FIN comes with data that others follow',
    state: TCP_CLOSE_WAIT,
    says: /a FIN before the end/,
    plant: outward(withData, (s) => {
      s.flags |= FIN;
    }),
  },
  {
    what: 'SACK reports one byte more than came',
    state: TCP_ESTABLISHED,
    says: /SACK of what was not received/,
    plant: outward(
      (s) => s.sacks > 1,
      (s) => {
        s.sack[3] = ((s.sack[3] ?? 0) + 1) | 0;
      },
    ),
  },
  {
    what: 'a timestamp is echoed that never came',
    state: TCP_ESTABLISHED,
    says: /a wrong echo/,
    plant: outward(
      (s) => s.hasTs,
      (s) => {
        s.tsecr = (s.tsecr + 1) | 0;
      },
    ),
  },
  {
    what: 'an answer is withheld',
    state: TCP_CLOSE_WAIT,
    says: /no ACK where one is due/,
    plant: outward(plainAck, () => false),
  },
  {
    what: 'an ACK becomes a RST',
    state: TCP_FIN_WAIT2,
    says: /an unexpected RST/,
    plant: outward(plainAck, (s) => {
      s.flags = RST;
    }),
  },
  {
    what: 'a RST next to RCV.NXT is believed',
    state: TCP_ESTABLISHED,
    says: /the machine is in|no ACK/,
    plant: inward(
      (s) => s.has(RST),
      (s) => {
        s.seq = (s.seq - 1) | 0;
      },
    ),
  },
  {
    what: 'a SYN is taken for a segment like others',
    state: TCP_LAST_ACK,
    says: /\[LAST-ACK SYN/,
    plant: inward(
      (s) => s.has(SYN) && s.mss === 0,
      (s) => {
        s.flags = ACK;
      },
    ),
  },
  {
    what: 'data lands one byte late',
    state: TCP_ESTABLISHED,
    says: /rcv_nxt is|not the peer's next|an ACK of|no ACK|where none is due/,
    plant: inward(withData, (s) => {
      s.seq = (s.seq + 1) | 0;
    }),
  },
  {
    what: 'data is read twice',
    state: TCP_FIN_WAIT2,
    says: /not the peer's next/,
    plant: (door) => {
      door.tamperRead = (bytes, n) => bytes.copyWithin(n >> 1, 0, n - (n >> 1));
    },
  },
  {
    what: 'an ACK of what was not sent is believed',
    state: TCP_ESTABLISHED,
    says: /snd_una is|snd_wnd is|rcv_nxt is|where none is due/,
    plant: inward(always, (s) => {
      s.ack = (s.ack - 500) | 0;
    }),
  },
  {
    what: 'old timestamps are let by',
    state: TCP_ESTABLISHED,
    says: /./,
    plant: inward(
      (s) => s.hasTs,
      (s) => {
        s.tsval = (s.tsval + 5000) | 0;
      },
    ),
  },
  {
    what: 'more is sent than the window allows',
    state: TCP_CLOSE_WAIT,
    says: /beyond the peer's window|snd_wnd is/,
    plant: inward(always, (s) => {
      s.win = Math.min(s.win + 1000, 65535);
    }),
  },
  {
    what: 'a RST is answered with a RST',
    state: TCP_CLOSE,
    says: /an answer where none is due/,
    plant: (door) => {
      door.tamperIn = (s) => {
        s.flags &= ~RST;
        return true;
      };
    },
  },
  {
    what: 'a SYN-ACK acknowledges another SYN',
    state: TCP_LISTEN,
    says: /no SYN-ACK/,
    plant: outward(always, (s) => {
      s.ack = (s.ack + 1) | 0;
    }),
  },
  {
    what: 'any SYN-ACK will do',
    state: TCP_SYN_SENT,
    says: /the machine is in state|instead of one|none is due/,
    plant: (door) => {
      let isn = 0;
      door.tamperOut = (s) => {
        if (s.has(SYN)) isn = s.seq;
        return true;
      };
      door.tamperIn = (s) => {
        if (s.has(ACK)) s.ack = (isn + 1) | 0;
        return true;
      };
    },
  },
  {
    what: 'any ACK completes a handshake',
    state: TCP_SYN_RECV,
    says: /./,
    plant: (door) => {
      let isn = 0;
      door.tamperOut = (s) => {
        if (s.has(SYN)) isn = s.seq;
        return true;
      };
      door.tamperIn = (s) => {
        if (s.has(ACK)) s.ack = (isn + 1) | 0;
        return true;
      };
    },
  },
  {
    what: 'a TIME-WAIT acknowledges too much',
    state: TCP_TIME_WAIT,
    says: /an ACK with other numbers|an ACK of what was not received/,
    plant: outward(plainAck, (s) => {
      s.ack = (s.ack + 1) | 0;
    }),
  },
];

describe('the model notices when', () => {
  for (const { what, state, says, plant } of FAULTS) {
    it(what, () => {
      const door = new Door(2);
      plant(door);
      let error: unknown = null;
      try {
        fuzzState(door, state, 20_000, 77);
      } catch (thrown) {
        error = thrown;
      }
      door.rig.end();
      expect(error).toBeInstanceOf(ModelError);
      expect((error as Error).message).toMatch(says);
    });
  }
});
