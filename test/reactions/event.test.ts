import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONGEST_TEXT, readEvent, readEvents } from '../../src/reactions/event.ts';
import { asCloudEvent, newVersionOf, pushOf, samples, scaleSetWrite, vault } from './event-samples.ts';

describe('an event', () => {
  test('of a vault is read with the blanks and cases of the published sample', () => {
    expect(readEvent(newVersionOf('webui-secret-key'))).toEqual({
      id: '00eccf70-95a7-4e7c-8299-2eb17ee9ad64',
      type: 'Microsoft.KeyVault.SecretNewVersionCreated',
      source: vault,
      subject: 'webui-secret-key',
      time: '2019-07-25T01:08:33.103Z',
      data: {
        objectType: 'Secret',
        objectName: 'webui-secret-key',
        version: 'ee059b2bb5bc48398a53b168c6cdcb10',
        nbf: '1559081980',
        exp: '1559082102',
      },
    });
  });

  test('may have no times of validity, or the keys of the SDK', () => {
    const data = { vaultName: 'kv', objectName: 'db', NBF: null, EXP: null };
    expect(readEvent({ ...newVersionOf('db'), data })?.data).toEqual({ objectName: 'db' });
  });

  test('of a registry tells its target; a short type gets its provider', () => {
    const push = pushOf({ repository: 'open-webui', tag: 'v1' });
    const digest = 'sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5';
    expect(readEvent(push)?.data).toEqual({ action: 'push', repository: 'open-webui', tag: 'v1', digest });
    expect(readEvent({ ...push, eventType: 'ImagePushed' })).toEqual(readEvent(push));
  });

  test('keeps one name of who caused it: of a person the principal name, of an application its id', () => {
    const operationName = 'Microsoft.Compute/virtualMachineScaleSets/write';
    expect(readEvent(scaleSetWrite)?.data).toEqual({ operationName, caller: 'aperson' });
    const by = (claims: unknown) =>
      readEvent({ ...scaleSetWrite, data: { ...scaleSetWrite.data, claims } })?.data;
    const schema = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims';
    const person = {
      ...{ appid: 'the-cli', ipaddr: '203.0.113.20', name: 'Some One', puid: '1003' },
      [`${schema}/upn`]: 'one_example.com#EXT#@contoso.onmicrosoft.com',
    };
    expect(by(person)).toEqual({ operationName, caller: 'one_example.com#EXT#@contoso.onmicrosoft.com' });
    expect(by({ appid: 'an-app', oid: 'x', xms_mirid: '/y' })).toEqual({ operationName, caller: 'an-app' });
    for (const nobody of [undefined, null, 'text', {}, { name: '<>' }, { appid: { a: 1 } }]) {
      expect(by(nobody)).toEqual({ operationName });
    }
    expect(by({ name: 'x'.repeat(500) })?.caller).toHaveLength(113);
  });

  test.each(samples.map((sample) => [sample.eventType, sample] as const))(
    '%s is the same in both envelopes',
    (_, sample) => {
      expect(readEvent(sample)).toBeDefined();
      expect(readEvent(asCloudEvent(sample))).toEqual(readEvent(sample));
    },
  );

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['text', 'ImagePushed'],
    ['a list', [newVersionOf('x')]],
    ['an object without id', { ...newVersionOf('x'), id: undefined }],
    ['an object without type', { ...newVersionOf('x'), eventType: ' ' }],
    ['an object whose id is an object', { ...newVersionOf('x'), id: {} }],
  ])('is not made out of %s', (_, value) => {
    expect(readEvent(value)).toBeUndefined();
  });

  test('is not led astray by keys that mean something to JavaScript', () => {
    const text = `{"id":"1","type":"t","__proto__":{"subject":"evil"},"constructor":1,
      "data":{"__proto__":{"objectName":"evil"},"target":{"__proto__":{"tag":"evil"}}}}`;
    const event = readEvent(JSON.parse(text));
    expect(event).toEqual({ id: '1', type: 't', source: '', subject: '', time: '', data: {} });
    expect(({} as Record<string, unknown>)['subject']).toBeUndefined();
  });

  test('keeps no more of a text than an id can be long, and only whole characters', () => {
    const event = readEvent({
      id: 'x'.repeat(1_000_000),
      type: 't',
      subject: `${'y'.repeat(LONGEST_TEXT - 1)}😀`,
    });
    expect(event?.id).toHaveLength(LONGEST_TEXT);
    expect(event?.subject.isWellFormed()).toBe(true);
  });
});

describe('a delivery', () => {
  test('is one event or many; what is no event is left out', () => {
    const event = newVersionOf('x');
    expect(readEvents(event)).toHaveLength(1);
    expect(readEvents([event, null, { id: 1 }, asCloudEvent(event)])).toHaveLength(2);
    expect(readEvents([])).toEqual([]);
    expect(readEvents('no')).toEqual([]);
  });

  test('has at most as many events as Event Grid puts into one', () => {
    expect(readEvents(Array.from({ length: 6_000 }, () => newVersionOf('x')))).toHaveLength(5_000);
  });
});

describe('whatever comes', () => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });

  const isBounded = (value: unknown): boolean => JSON.stringify(value).length < 20 * 6 * LONGEST_TEXT;

  test('nothing is thrown and little is kept', () => {
    fc.assert(
      fc.property(fc.oneof(anything, fc.jsonValue()), (value) => {
        for (const event of readEvents(value)) expect(isBounded(event)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test('nothing is thrown by an event with any of its parts replaced', () => {
    const parts = ['id', 'topic', 'source', 'subject', 'eventType', 'type', 'eventTime', 'time', 'data'];
    fc.assert(
      fc.property(
        fc.constantFrom(...samples, ...samples.map(asCloudEvent)),
        fc.constantFrom(...parts),
        anything,
        (sample, part, value) => {
          const event = readEvent({ ...sample, [part]: value });
          expect(event === undefined || isBounded(event)).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
