import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LARGEST_BODY_BYTES, type ReadBody, readBody } from '../../src/spec/read-body.ts';

type Bytes = Uint8Array<ArrayBuffer>;

function read(
  body: string | Bytes,
  contentType?: string,
  more: Record<string, string> = {},
): Promise<ReadBody> {
  const headers = new Headers({
    ...(contentType === undefined ? {} : { 'content-type': contentType }),
    ...more,
  });
  return readBody({ headers, body: new Response(body).body });
}
const messageOf = (answer: ReadBody): string => (answer.ok ? '' : answer.message);
const json = 'application/json';
const yaml = 'application/yaml';

describe('a body that can be read', () => {
  test.each<[string, string | Bytes, string | undefined]>([
    ['JSON', '{"a": [1, "b", null, true, -1.5e3, {"c": "\\u00e4\\n"}]}', json],
    [
      'JSON with a character set',
      '{"a": [1, "b", null, true, -1500, {"c": "ä\\n"}]}',
      `${json}; charset=UTF-8`,
    ],
    ['YAML', 'a:\n  - 1\n  - b\n  - null\n  - true\n  - -1500\n  - c: "ä\\n"\n', yaml],
    ['YAML by an older name', 'a: [1, b, ~, true, -1500, {c: "ä\\n"}]', 'text/yaml'],
    ['YAML by another', 'a: [1, b, ~, true, -1500, {c: "ä\\n"}]', 'application/x-yaml'],
    ['JSON without a content type', '\n {"a": [1, "b", null, true, -1500, {"c": "ä\\n"}]}', undefined],
    ['YAML without a content type', '# hello\na: [1, b, null, true, -1500, {c: "ä\\n"}]', undefined],
    ['JSON as YAML', '{"a": [1, "b", null, true, -1500, {"c": "ä\\n"}]}', yaml],
    ['a byte order mark', '\ufeff{"a": [1, "b", null, true, -1500, {"c": "ä\\n"}]}', json],
    ['a byte order mark before YAML', '\ufeffa: [1, b, null, true, -1500, {c: "ä\\n"}]', yaml],
    ['an alias', 'x: &x 1\na: [1, b, null, true, -1500, {c: "ä\\n"}]', yaml],
  ])('%s', async (_, body, contentType) => {
    const answer = await read(body, contentType);
    expect(answer.ok && answer.value['a']).toEqual([1, 'b', null, true, -1500, { c: 'ä\n' }]);
  });

  test('dates, yes and octal-looking text stay what the core schema says', async () => {
    const answer = await read("a: 2020-01-01\nb: yes\nc: '010'", yaml);
    expect(answer.ok && answer.value).toEqual({ a: '2020-01-01', b: 'yes', c: '010' });
  });

  test('names that could reach a prototype stay plain names', async () => {
    for (const body of ['{"__proto__": {"polluted": true}}', '__proto__: {polluted: true}']) {
      const answer = await read(body);
      expect(answer.ok && Object.hasOwn(answer.value, '__proto__')).toBe(true);
    }
    expect('polluted' in {}).toBe(false);
  });

  test('JSON is read as JSON.parse reads it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), async (value) => {
        const text = JSON.stringify(value, null, 2);
        const answer = await read(text, json);
        expect(answer).toEqual({ ok: true, value: JSON.parse(text) });
      }),
    );
  });
});

describe('a body that cannot', () => {
  test.each<[string, string, string, string]>([
    ['a comma too many', '{\n  "a": 1,\n}', json, 'line 3, column 1: the JSON needs a name in double quotes'],
    [
      'a name without quotes',
      '{a: 1}',
      json,
      'line 1, column 2: the JSON needs a name in double quotes or }',
    ],
    ['no colon', '{"a" 1}', json, 'line 1, column 6: the JSON needs a colon'],
    ['no comma', '{"a": 1\n "b": 2}', json, 'line 2, column 2: the JSON needs a comma or }'],
    ['no end', '{"a": [1', json, 'line 1, column 9: the JSON ends too early: it needs a comma or ]'],
    ['more after the end', '{"a": 1} 2', json, 'line 1, column 10: the JSON goes on after its end'],
    ['a word', '{"a": maybe}', json, 'line 1, column 7: the JSON needs a value'],
    ['an open string', '{"a": "b}', json, 'line 1, column 7: the JSON needs a value'],
    [
      'a name twice',
      '{"a": 1, "b": {"a": 2}, "\\u0061": 3}',
      json,
      'line 1, column 25: the JSON has this name twice in one object',
    ],
    [
      'a name twice in YAML',
      'a: 1\nb: 2\na: 3',
      yaml,
      'line 3, column 1: the YAML has this name twice in one mapping',
    ],
    ['a tab', 'a:\n\tb: 1', yaml, 'line 2, column 1: the YAML is indented with a tab; use blanks'],
    [
      'two documents',
      'a: 1\n---\nb: 2',
      yaml,
      'line 2, column 1: the YAML begins a second document; one is expected',
    ],
    ['a tag', 'a: !secret b', yaml, 'line 1, column 4: the YAML has a tag that is not known here'],
    ['a binary tag', 'a: !!binary b', yaml, 'line 1, column 4: the YAML has a tag that is not known here'],
    [
      'an alias of nothing',
      'a: *b',
      yaml,
      'line 1, column 4: the YAML repeats an anchor too often, or one that is not there',
    ],
    [
      'a mapping that holds itself',
      'a: &a {b: *a}',
      yaml,
      'line 1, column 1: the YAML is nested more than 32 deep',
    ],
    [
      'an open quote',
      'a: "b',
      yaml,
      'line 1, column 6: the YAML lacks a sign: a closing quote or bracket, a comma, a colon or a blank',
    ],
    ['a list', '[1]', json, 'the JSON must be a mapping of fields at its top'],
    ['a text', 'hello', yaml, 'the YAML must be a mapping of fields at its top'],
    ['null', 'null', json, 'the JSON must be a mapping of fields at its top'],
  ])('%s', async (_, body, contentType, message) => {
    expect(await read(body, contentType)).toEqual({ ok: false, reason: 'malformed', message });
  });

  test.each(['', ' \n'])('nothing: "%s"', async (body) => {
    expect(await read(body, yaml)).toEqual({ ok: false, reason: 'empty', message: 'the body is empty' });
  });

  test('never has its text repeated to it', async () => {
    for (const body of [
      '{"password": hunter2}',
      '{"password": "hunter2',
      'password: "hunter2',
      '*hunter2: x',
      '!hunter2 x: y',
    ]) {
      const message = messageOf(await read(body));
      expect(message).not.toBe('');
      expect(message).not.toContain('hunter2');
    }
  });

  test('bytes that are not UTF-8', async () => {
    expect(messageOf(await read(new Uint8Array([0x7b, 0xff, 0x7d]), json))).toBe(
      'the body must be encoded in UTF-8',
    );
  });

  test.each([
    ['text/plain', {}],
    ['application/x-www-form-urlencoded', {}],
    ['application/json; charset=utf-16', {}],
    [json, { 'content-encoding': 'gzip' }],
  ])('%s with %o is not understood', async (contentType, more) => {
    expect(await read('{}', contentType, more)).toMatchObject({ ok: false, reason: 'unsupported' });
  });

  test('a body of one byte too many is refused, one of exactly the limit is read', async () => {
    const filled = (size: number): string => `{"a":"${'x'.repeat(size - 8)}"}`;
    expect(await read(filled(LARGEST_BODY_BYTES), json)).toMatchObject({ ok: true });
    expect(await read(filled(LARGEST_BODY_BYTES + 1), json)).toMatchObject({ reason: 'too-large' });
  });

  test('a declared length is believed before anything is read', async () => {
    const answer = await read('{}', json, { 'content-length': String(10_000_000) });
    expect(answer).toMatchObject({ reason: 'too-large' });
  });

  test('an endless body is read no further than the limit', async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(32));
      },
    });
    expect(await readBody({ headers: new Headers(), body: endless })).toMatchObject({ reason: 'too-large' });
    expect(sent).toBeLessThan(2 * LARGEST_BODY_BYTES);
  });

  test('a body that breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('connection reset'));
      },
    });
    expect(await readBody({ headers: new Headers(), body: broken })).toMatchObject({ reason: 'malformed' });
  });

  const million = 1_000_000;
  test.each<[string, string]>([
    [
      'billion laughs',
      `a: &a [x]\n${Array.from({ length: 9 }, (_, n) => `${'bcdefghij'[n]}: &${'bcdefghij'[n]} [${Array(9).fill(`*${'abcdefghi'[n]}`).join(',')}]`).join('\n')}`,
    ],
    ['a million nested lists', '['.repeat(million)],
    ['a million nested mappings', '{'.repeat(million)],
    ['nested list items', '- '.repeat(million / 2)],
    ['nested explicit keys', '? '.repeat(million / 2)],
    ['a hundred thousand names', Array.from({ length: 90_000 }, (_, n) => `k${n}: 1`).join('\n')],
    ['quotes', '"'.repeat(million)],
    ['documents', '---\n'.repeat(million / 4)],
    ['tags', '!a '.repeat(million / 3)],
    ['anchors', '&a '.repeat(million / 3)],
    ['deep indentation', Array.from({ length: 1000 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')],
  ])('%s take less than two seconds', async (_, body) => {
    const begin = performance.now();
    expect(await read(body, yaml)).toMatchObject({ ok: false, reason: 'malformed' });
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});
