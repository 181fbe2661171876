/**
 * What a case of the differential tests does, step by step, on the real kernel and on a machine of ours.
 * Octets are hexadecimal text. Sockets are named by slots, since descriptors differ.
 */

export type Step =
  /** Makes a TAP device. */
  | readonly ['tap', name: string]
  /** A frame arrives at a TAP device. */
  | readonly ['frame', device: string, frame: string]
  | readonly ['sleep', ms: number]
  | readonly ['sysctl', name: string, value: string]
  /** `ip -batch`: what it printed. */
  | readonly ['ip', ...lines: string[]]
  /** Text of a file of /proc. */
  | readonly ['read', path: string]
  | readonly ['socket', slot: number, family: number, type: number, protocol: number]
  | readonly ['bind' | 'connect', slot: number, address: string]
  | readonly ['listen', slot: number, backlog: number]
  | readonly ['accept', slot: number, as: number, addressSize: number]
  | readonly ['getsockname' | 'getpeername', slot: number, addressSize: number]
  | readonly ['setsockopt', slot: number, level: number, option: number, value: string]
  | readonly ['getsockopt', slot: number, level: number, option: number, size: number]
  | readonly ['shutdown', slot: number, how: number]
  | readonly ['close', slot: number]
  | readonly ['ioctl', slot: number, request: number, argument: string]
  | readonly [
      'sendmsg',
      slot: number,
      data: string,
      flags: number,
      name: string | null,
      control: string | null,
    ]
  | readonly [
      'recvmsg',
      slot: number,
      size: number,
      nameSize: number,
      controlSize: number,
      flags: number,
    ];

/** A frame that a device sent. */
export type SentFrame = readonly [device: string, frame: string];

/** What a call or command gave; frames that had been sent by then. */
export type StepResult = readonly [result: unknown, frames: readonly SentFrame[]];

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
