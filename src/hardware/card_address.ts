/** The address that a network card is given when it is made. IEEE 802 section 8.2. */

/** Throws RangeError when this is not the address of a card: six octets, of one station, not zero. */
export function checkCardAddress(mac: Uint8Array): void {
  if (mac.length !== 6 || ((mac[0] as number) & 1) !== 0 || mac.every((octet) => octet === 0)) {
    throw new RangeError(`not the address of a network card: ${[...mac].join(' ')}`);
  }
}
