/** A machine behind each kind of door, and the real kernel on the other side. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ended, Netns, ROOT, said, whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop('ping', 'curl', 'sha256sum', 'tshark');
const noQemu = whyNoInterop('ping', 'curl', 'sha256sum', 'qemu-system-x86_64');

/** How much is downloaded; httpd tells the SHA-256. */
const BYTES = 20_000_000;

/** Runs a file of the sources. */
const SOURCE = [process.execPath, '--import', 'tsx', '--conditions=softnet-source'] as const;
const [node, ...source] = SOURCE;

const folder = mkdtempSync(join(tmpdir(), 'softnet-doors-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function download(ns: Netns): Promise<void> {
  const url = `http://10.77.0.2/bytes/${BYTES}`;
  const head = await ns.run('curl', '-s', '-m', '60', '-D', '-', '-o', join(folder, 'body'), url);
  const hash = /^x-sha256: (\w+)/im.exec(head.stdout)?.[1];
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  const { stdout } = await ns.run('sha256sum', join(folder, 'body'));
  expect(stdout.split(' ')[0]).toBe(hash);
}

async function ping(ns: Netns): Promise<void> {
  // The first waits for ARP, and for a busy machine.
  await ns.run('ping', '-q', '-c', '1', '-W', '5', '10.77.0.2');
  const { stdout } = await ns.run('ping', '-q', '-c', '50', '-i', '0.002', '10.77.0.2');
  expect(stdout).toContain('50 received, 0% packet loss');
}

describe.skipIf(missing !== null)(`doors to the real kernel (skipped: ${missing})`, () => {
  let ns: Netns;

  beforeEach(() => {
    ns = new Netns('doors');
    ns.must('ip', 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far');
    ns.must('ip', 'link', 'set', 'near', 'up');
    ns.must('ip', 'link', 'set', 'far', 'up');
    ns.must('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'near');
  });

  afterEach(() => ns.remove(), 60_000);

  it('packet: takes an end of a veth pair', { timeout: 120_000 }, async () => {
    const softnet = await ns.softnet('attach', 'packet:far=10.77.0.2/24', '--serve');
    await ping(ns);
    await download(ns);
    // Down and up again is no end.
    ns.must('ip', 'link', 'set', 'far', 'down');
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
    ns.must('ip', 'link', 'set', 'far', 'up');
    await ping(ns);
    expect(await ended(softnet, 'SIGTERM')).toBe(0);
    expect(ns.must('ip', 'link', 'show', 'far')).not.toContain('PROMISC');
  });

  it('packet: says when the interface is removed', { timeout: 60_000 }, async () => {
    const softnet = await ns.softnet('attach', 'packet:far=10.77.0.2/24');
    const gone = said(softnet, 'packet:far=10.77.0.2/24 is gone (the interface far was removed)');
    ns.must('ip', 'link', 'del', 'near');
    await gone;
    expect(await ended(softnet, 'SIGTERM')).toBe(1);
  });

  it('packet: puts VLAN tags back into frames', { timeout: 60_000 }, async () => {
    const file = join(folder, 'vlan.pcapng');
    const softnet = await ns.softnet('attach', 'packet:far=10.77.0.2/24', '--pcap', file);
    const { stderr } = await ns.run(...SOURCE, 'test/interop/send_tagged.ts', 'near');
    expect(stderr).toBe('');
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    expect(await ended(softnet, 'SIGTERM')).toBe(0);
    const { stdout } = await ns.run('tshark', '-r', file, '-Y', 'vlan.id == 5 && arp');
    expect(stdout).toContain('Who has 10.78.0.2? Tell 10.78.0.1');
  });

  it('macvtap: is a neighbour of the interface below', { timeout: 120_000 }, async () => {
    ns.must('ip', 'link', 'add', 'link', 'far', 'name', 'mvt', 'type', 'macvtap', 'mode', 'bridge');
    ns.must('ip', 'link', 'set', 'mvt', 'up');
    const softnet = await ns.softnet('attach', 'macvtap:mvt=10.77.0.2/24', '--serve');
    await ping(ns);
    await download(ns);
    const gone = said(softnet, 'is gone');
    ns.must('ip', 'link', 'del', 'mvt');
    await gone;
    expect(await ended(softnet, 'SIGTERM')).toBe(1);
  });

  it('refuses what is not there', { timeout: 60_000 }, async () => {
    const attach = (door: string): Promise<{ status: number | null; stderr: string }> =>
      ns.run(...SOURCE, 'src/cli/main.ts', 'attach', door);
    const refused = async (door: string, status: number, words: string): Promise<void> => {
      const { stderr, ...rest } = await attach(door);
      expect({ door, stderr, status: rest.status }).toEqual({
        door,
        stderr: expect.stringContaining(words),
        status,
      });
    };
    await refused('packet:nothing=10.0.0.1/24', 1, "there is no interface 'nothing'");
    await refused('macvtap:near=10.0.0.1/24', 1, "'near' is no macvtap device");
    await refused('connect:/nowhere=10.0.0.1/24', 1, 'connecting: connect ENOENT');
    await refused('wire:near=10.0.0.1/24', 2, 'KIND is one of');
    await refused('packet:near=10.0.0/24', 2, 'makes no sense');
  });
});

describe.skipIf(noQemu !== null)(`QEMU (skipped: ${noQemu})`, () => {
  let ns: Netns;
  let children: ChildProcess[];

  beforeEach(() => {
    ns = new Netns('qemu');
    children = [];
  });

  afterEach(async () => {
    await Promise.all(children.map((child) => ended(child, 'SIGTERM')));
    await ns.remove();
  }, 60_000);

  it('passes the frames of its stream on to the kernel', { timeout: 120_000 }, async () => {
    const path = join(folder, 'vm.sock');
    const door = `stream:${path}=10.77.0.2/24`;
    const softnet = spawn(node, [...source, 'src/cli/main.ts', 'attach', door, '--serve'], {
      cwd: ROOT,
    });
    children.push(softnet);
    await said(softnet, 'ready');
    // A QEMU without a processor: its hub joins the stream to a TAP device.
    const come = said(softnet, 'a guest has come');
    const qemu = ns.start(
      ...(['qemu-system-x86_64', '-machine', 'none', '-display', 'none', '-nodefaults'] as const),
      ...['-monitor', 'none', '-netdev'],
      ...[`stream,id=s,server=off,addr.type=unix,addr.path=${path}`, '-netdev'],
      ...['tap,id=t,ifname=qtap,script=no,downscript=no', '-netdev'],
      ...['hubport,id=h1,hubid=0,netdev=s', '-netdev', 'hubport,id=h2,hubid=0,netdev=t'],
    );
    await come;
    ns.must('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'qtap');
    ns.must('ip', 'link', 'set', 'qtap', 'up');
    await ping(ns);
    await download(ns);
    const left = said(softnet, 'a guest has gone');
    await ended(qemu, 'SIGTERM');
    await left;
    expect(await ended(softnet, 'SIGTERM')).toBe(0);
  });
});
