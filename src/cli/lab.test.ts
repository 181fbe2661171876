/** Programs of one's own in a lab: how their ends are told, and that waiting for ever ends a run. */
import { afterEach, describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { parseTopology } from '#sim/topology.ts';
import { connect, listen } from '#user/api/sockets.ts';
import { Collector } from '#user/lib/streams.ts';

const pair = parseTopology({
  topology: {
    nodes: {
      a: { exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
      b: { exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
    },
    links: [{ endpoints: ['a:eth0', 'b:eth0'] }],
    hosts: { b: '10.0.0.2' },
  },
});

describe('a lab', () => {
  const labs: Lab[] = [];

  async function boot(): Promise<Lab> {
    const lab = new Lab(pair, { seed: 1 });
    labs.push(lab);
    await lab.setUp();
    return lab;
  }

  afterEach(() => {
    for (const lab of labs.splice(0)) expect(lab.world.halt()).toEqual({});
  });

  it('run() throws what the program threw', async () => {
    const lab = await boot();
    const wrong = new RangeError('seven is not six');
    const run = lab.run('a', () => Promise.reject(wrong), ['judge']);
    await expect(run).rejects.toBe(wrong);
  });

  it('run() gives the status where a standard error was told', async () => {
    const lab = await boot();
    const stderr = new Collector();
    const wrong = new RangeError('seven is not six');
    expect(await lab.run('a', () => Promise.reject(wrong), ['judge'], { stderr })).toBe(1);
    expect(stderr.text()).toBe('judge: seven is not six\n');
  });

  it('a program that was started keeps what it threw, and its standard error says it', async () => {
    const lab = await boot();
    const stderr = new Collector();
    const wrong = new RangeError('seven is not six');
    const { program } = lab.start('a', () => Promise.reject(wrong), ['judge'], { stderr });
    expect(await lab.finish()).toBe('ended');
    expect(program).toMatchObject({ status: 1, error: wrong });
    expect(lab.failed()).toEqual([{ node: 'a', command: 'judge', status: 1 }]);
    expect(stderr.text()).toBe('judge: seven is not six\n');
  });

  it('needs a seed, and times that are some', async () => {
    for (const options of [{}, { seed: Number.NaN }, { seed: null }]) {
      expect(() => new Lab(pair, options as never)).toThrow('a world needs a `seed`');
    }
    const { world } = await boot();
    for (const time of [Number.NaN, undefined, Number.POSITIVE_INFINITY]) {
      expect(() => world.schedule(time as number, () => {})).toThrow(RangeError);
    }
  });

  it('an exit is no error', async () => {
    const lab = await boot();
    expect(await lab.run('a', async (p) => p.exit(3), ['three'])).toBe(3);
  });

  it('finish() waits for what start() started', async () => {
    const lab = await boot();
    const said: string[] = [];
    lab.start(
      'a',
      async (p) => {
        for await (const socket of listen(p, '0.0.0.0:7').connections) {
          await socket.readable.pipeTo(socket.writable);
          return 0;
        }
        return 1;
      },
      ['echo'],
    );
    lab.start(
      'b',
      async (p) => {
        const { readable, writable } = connect(p, '10.0.0.1:7', { allowHalfOpen: true });
        const writer = writable.getWriter();
        await writer.write(new TextEncoder().encode('hello'));
        await writer.close();
        for await (const chunk of readable) said.push(new TextDecoder().decode(chunk));
        return 0;
      },
      ['client'],
    );
    expect(await lab.finish()).toBe('ended');
    expect(said).toEqual(['hello']);
    expect(lab.failed()).toEqual([]);
  });

  it('what waits for ever has no status', async () => {
    const lab = await boot();
    expect(await lab.command('a', ['nc', '-l', '99'])).toBeNull();
    lab.start('a', () => new Promise(() => {}), ['forever']);
    expect(await lab.finish()).toBe('waiting');
    expect(lab.running()).toEqual([{ node: 'a', command: 'forever', status: null }]);
  });

  it('knows the names of its description', async () => {
    const lab = await boot();
    const stdout = new Collector();
    expect(await lab.command('a', ['ping', '-c', '1', 'b'], { stdout })).toBe(0);
    expect(stdout.text()).toContain('PING b (10.0.0.2)');
    expect(await lab.command('a', ['ping', '-c', '1', 'a'])).not.toBe(0);
  });

  it('who sleeps long does not wait for ever', async () => {
    const lab = await boot();
    expect(await lab.command('a', ['sleep', '1000'])).toBe(0);
  });
});
