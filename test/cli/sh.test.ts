/**
 * The shell: the same scripts by the system's sh (dash) and by softnet's on a machine.
 */
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { Box } from './machine.ts';
import { runReal } from './native.ts';

function isDash(): boolean {
  try {
    return spawnSync('which', ['dash']).status === 0 && /sh$/.test(readlinkSync('/bin/sh'));
  } catch {
    return false;
  }
}

const SCRIPTS = [
  'echo hello world',
  'echo \'a  b\' "c  d" e\\ f',
  'echo a; echo b',
  'true && echo yes || echo no',
  'false && echo yes || echo no',
  'false || false; echo $?',
  'true; echo $?',
  '! true; echo $?',
  'nosuch; echo $?',
  'X=1; echo $X "$X" \'$X\' ${X}y $Xy',
  'X="a  b"; echo $X; echo "$X"',
  'X=; echo a$X; echo "" b',
  'X=5 true; echo "[$X]"',
  'echo "a\\"b" "\\$X" \'\\n\'',
  'echo "one\\ntwo\\tthree\\\\"',
  'echo -n no newline',
  'printf() { :; }; echo never',
  'echo a # comment',
  '# only a comment',
  'echo one; exit 3; echo two',
  'exit foo',
  'test 1 -lt 2; echo $?; [ a = b ]; echo $?; [ -z "" ] && echo empty',
  '[ 1 -eq 1',
  'test a b; echo $?',
  'echo a | cat',
  'seq 5 | head -n 2',
  'seq 100 | tail -n 1; seq 3 | wc -l',
  'seq 20 | grep 1 | wc -l',
  'echo err >&2; echo out',
  '(echo x) 2>/dev/null',
  'nosuch 2>/dev/null; echo $?',
  'echo a > /nosuch/file; echo $?',
  'cat < /nosuch; echo $?',
  'cat /nosuch 2>&1 | wc -l',
  'echo $#',
  'echo $0',
  'false | true; echo $?',
  'true | false; echo $?',
  '&& a',
  'a |',
  'echo "unfinished',
  'echo a; ; echo b',
  'export X=1; echo $X; unset X; echo "[$X]"',
  'cd /; : ignored; echo ok',
  'sleep 0; echo slept',
  'echo $nosuch end',
];

/** What our language leaves out on purpose; the scripts above that use it must be refused, not misread. */
const BEYOND: readonly string[] = ['printf() { :; }; echo never', '(echo x) 2>/dev/null'];

describe.skipIf(!isDash())('scripts do what dash makes of them', () => {
  const box = new Box();
  afterAll(() => {
    expect(box.halt()).toEqual({});
  });

  test.each(SCRIPTS.filter((script) => !BEYOND.includes(script)))('%s', async (script) => {
    const real = runReal(['sh', '-c', script]);
    expect(await box.run(['sh', '-c', script])).toEqual(real);
  });

  test.each(BEYOND)('%s is refused', async (script) => {
    const { status, stderr } = await box.run(['sh', '-c', script]);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/unexpected|not found/);
  });
});

describe('the shell on a machine', () => {
  test('settings are read and written through redirections', async () => {
    const box = new Box();
    const path = '/proc/sys/net/ipv4/ip_forward';
    expect((await box.sh(`echo 1 > ${path}; cat ${path}; cat < ${path}`)).stdout).toBe('1\n1\n');
    expect(await box.sh(`echo foo > ${path}`)).toEqual({
      status: 1,
      stdout: '',
      stderr: 'sh: 1: echo: write error: Invalid argument\n',
    });
    expect(box.halt()).toEqual({});
  });

  test('programs beside the shell run with it, and wait waits for them', async () => {
    const box = new Box();
    const { stdout } = await box.sh('sleep 2 & sleep 1; echo one; wait; echo two');
    expect(stdout).toBe('one\ntwo\n');
    expect(box.world.nowNs).toBeGreaterThanOrEqual(2e9);
    expect(box.halt()).toEqual({});
  });

  test('scripts come from standard input as well', async () => {
    const box = new Box();
    const { stdout, status } = await box.run(['sh'], 'echo a\nfalse\n');
    expect([stdout, status]).toEqual(['a\n', 1]);
    const lines = await box.run(['sh', '-i'], 'echo "a\nb"\necho c');
    expect(lines.stdout).toBe('# a\nb\n# c\n');
    expect(box.halt()).toEqual({});
  });

  test('namespaces are made, entered, listed and removed', async () => {
    const box = new Box();
    const script = [
      'ip netns add blue',
      'ip netns add blue; echo $?',
      'ip netns list',
      'ip link add v0 type veth peer name v1',
      'ip link set v1 netns blue',
      'ip netns exec blue ip link set v1 name eth0',
      'ip -n blue -br link',
      'ip -br link show type veth',
      'ip netns exec blue nosuch; echo $?',
      'ip netns exec red ip link; echo $?',
      'ip netns del blue',
      'ip netns list',
      // The last device goes a moment after its namespace.
      'sleep 0.1',
      'ip -br link show type veth',
      'ip netns del blue; echo $?',
    ].join('\n');
    const { stdout, stderr } = await box.sh(script);
    expect(stderr).toBe(
      'Cannot create namespace file "/run/netns/blue": File exists\n' +
        'exec of "nosuch" failed: No such file or directory\n' +
        'Cannot open network namespace "red": No such file or directory\n' +
        'Cannot remove namespace file "/run/netns/blue": No such file or directory\n',
    );
    expect(stdout).toMatch(
      /^1\nblue\nlo +DOWN .*\neth0@if\d+ +DOWN .*\nv0@if\d+ +DOWN .*\n255\n255\n1\n$/,
    );
    expect(box.halt()).toEqual({});
  });
});
