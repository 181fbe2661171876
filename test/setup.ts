/**
 * Runs in every test worker before a test file, and so before any kernel module, is loaded: turns the
 * kernel's debug mode on (poisoned free lists, stale pointer and lock checks). SOFTNET_DEBUG=0 runs the
 * tests the way a release runs.
 */
import { env } from 'node:process';

Object.assign(globalThis, { softnetConfig: { debug: env['SOFTNET_DEBUG'] !== '0' } });
