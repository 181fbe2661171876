/**
 * Settings of a card and their limits. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000_param.c, where they are module parameters.
 */
import {
  E1000_DEFAULT_RXD,
  E1000_DEFAULT_TXD,
  E1000_MAX_RXD,
  E1000_MAX_TXD,
  E1000_MIN_RXD,
  E1000_MIN_TXD,
  type E1000Params,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { roundDescriptors } from '#drivers/net/ethernet/intel/libgbe/ring.ts';

const MAX_DELAY = 0xffff;
/** Fewest and most interrupts a second when the rate is fixed. */
const MIN_ITR = 100;
const MAX_ITR = 100000;

/** What a card gets when nothing is said. */
export const E1000_DEFAULT_PARAMS: E1000Params = Object.freeze({
  txDescriptors: E1000_DEFAULT_TXD,
  rxDescriptors: E1000_DEFAULT_RXD,
  txIntDelay: 8,
  txAbsIntDelay: 32,
  rxIntDelay: 0,
  rxAbsIntDelay: 8,
  interruptThrottleRate: 3,
  copybreak: 256,
  napi: true,
});

/** A number in its range, else the default. @kernel e1000_validate_option drivers/net/ethernet/intel/e1000/e1000_param.c */
function validate(value: number | undefined, min: number, max: number, def: number): number {
  return value !== undefined && value >= min && value <= max ? Math.floor(value) : def;
}

/** The throttle rate: one of the modes, or a number of interrupts a second. */
function validateItr(value: number | undefined): number {
  const def = E1000_DEFAULT_PARAMS.interruptThrottleRate;
  if (value === 0 || value === 1 || value === 3) return value;
  // The low bits of a fixed rate would be taken for a mode.
  const rate = validate(value, MIN_ITR, MAX_ITR, 0) & ~3;
  return rate === 0 ? def : rate;
}

/**
 * Settings for a card: what is missing or out of range is replaced.
 * @kernel e1000_check_options drivers/net/ethernet/intel/e1000/e1000_param.c
 */
export function e1000CheckOptions(given: Partial<E1000Params>): E1000Params {
  const def = E1000_DEFAULT_PARAMS;
  const txd = validate(given.txDescriptors, E1000_MIN_TXD, E1000_MAX_TXD, def.txDescriptors);
  const rxd = validate(given.rxDescriptors, E1000_MIN_RXD, E1000_MAX_RXD, def.rxDescriptors);
  return {
    txDescriptors: roundDescriptors(txd),
    rxDescriptors: roundDescriptors(rxd),
    txIntDelay: validate(given.txIntDelay, 0, MAX_DELAY, def.txIntDelay),
    txAbsIntDelay: validate(given.txAbsIntDelay, 0, MAX_DELAY, def.txAbsIntDelay),
    rxIntDelay: validate(given.rxIntDelay, 0, MAX_DELAY, def.rxIntDelay),
    rxAbsIntDelay: validate(given.rxAbsIntDelay, 0, MAX_DELAY, def.rxAbsIntDelay),
    interruptThrottleRate: validateItr(given.interruptThrottleRate),
    copybreak: validate(given.copybreak, 0, MAX_DELAY, def.copybreak),
    napi: given.napi ?? def.napi,
  };
}
