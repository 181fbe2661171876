import { describe, expect, test } from 'vitest';
import { JsonWriter } from '#user/lib/json_writer.ts';

function sample(pretty: boolean): string {
  const json = new JsonWriter(pretty);
  json.startArray();
  for (const name of ['lo', 'a"b']) {
    json.startObject();
    json.name('ifname');
    json.string(name);
    json.name('flags');
    json.startArray();
    if (name === 'lo') for (const flag of ['UP', 'LOOPBACK']) json.string(flag);
    json.endArray();
    json.name('up');
    json.bool(true);
    json.name('ecn');
    json.nothing();
    json.name('bytes');
    json.raw('18446744073709551615');
    json.endObject();
  }
  json.endArray();
  return json.text();
}

describe('JsonWriter', () => {
  test('one line is JSON without blanks', () => {
    const text = sample(false);
    expect(text).not.toMatch(/\s/);
    const value = JSON.parse(text) as { ifname: string; flags: string[] }[];
    expect(value.map(({ ifname }) => ifname)).toEqual(['lo', 'a"b']);
    expect(value[0]?.flags).toEqual(['UP', 'LOOPBACK']);
  });

  test('indented output is laid out as iproute2 does, arrays of scalars on one line', () => {
    expect(sample(true)).toBe(
      [
        '[ {',
        '        "ifname": "lo",',
        '        "flags": [ "UP","LOOPBACK" ],',
        '        "up": true,',
        '        "ecn": null,',
        '        "bytes": 18446744073709551615',
        '    },{',
        '        "ifname": "a\\"b",',
        '        "flags": [ ],',
        '        "up": true,',
        '        "ecn": null,',
        '        "bytes": 18446744073709551615',
        '    } ]',
      ].join('\n'),
    );
  });

  test('nothing is an empty array', () => {
    const json = new JsonWriter(true);
    json.startArray();
    json.endArray();
    expect(json.text()).toBe('[ ]');
  });
});
