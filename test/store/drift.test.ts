import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DriftRecord } from '../../src/store/drift.ts';
import type { Store } from '../../src/store/store.ts';
import { Azurite } from './azurite.ts';

let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());

const at = (time: string): string => `2026-11-24T${time}:00.000Z`;
const record = (more: Partial<DriftRecord> = {}): DriftRecord => ({
  resource: 'azure/postgres-server',
  path: 'sku.name',
  wanted: 'Standard_B1ms',
  found: 'Standard_B2s',
  since: at('10:00'),
  lastSeenAt: at('10:00'),
  state: 'reported',
  policy: 'report',
  repairs: [],
  ...more,
});

describe('records of drift', () => {
  test('are one for each field of a resource, the newest first', async () => {
    const server = record();
    const vault = record({
      resource: 'azure/key-vault',
      path: 'tags.a',
      since: at('11:00'),
      state: 'repaired',
    });
    await store.drift.put('one', [server, vault]);
    await store.drift.put('one', [record({ found: 'Standard_B4ms', lastSeenAt: at('10:30') })]);
    expect(await store.drift.list('one')).toEqual([
      vault,
      record({ found: 'Standard_B4ms', lastSeenAt: at('10:30') }),
    ]);
    expect(await store.drift.list('two')).toEqual([]);
  });

  test('are found by resource, not by one that begins alike, and by being different still', async () => {
    const server = record({ path: '/ ? # %' });
    await store.drift.put('three', [
      server,
      record({ resource: 'azure/postgres-server-2' as 'azure/x', state: 'gone' }),
    ]);
    expect(await store.drift.of('three', 'azure/postgres-server')).toEqual([server]);
    expect(await store.drift.unsettled('three')).toEqual([server]);
  });

  test('say so where a value is too long to keep, and are kept all the same', async () => {
    await store.drift.put('four', [record({ found: 'x'.repeat(200_000) })]);
    const cut = { found: '(too long to keep)', isCut: true };
    expect(await store.drift.list('four')).toMatchObject([cut]);
    await store.drift.change('four', 'azure/postgres-server', 'sku.name', (drift) => ({
      ...drift,
      state: 'gone',
    }));
    expect(await store.drift.list('four')).toMatchObject([{ ...cut, state: 'gone' }]);
    await store.drift.put('four', [record()]);
    expect(await store.drift.list('four')).toEqual([record()]);
  });

  test('are changed as they are by then, by everybody who changes one at the same moment', async () => {
    await store.drift.put('six', [record()]);
    const repairs = Array.from({ length: 6 }, (_, n) => at(`11:0${n}`));
    await Promise.all(
      repairs.map((repair) =>
        azurite.openStore().drift.change('six', 'azure/postgres-server', 'sku.name', (drift) => ({
          ...drift,
          repairs: [...drift.repairs, repair],
        })),
      ),
    );
    expect((await store.drift.list('six'))[0]?.repairs.toSorted()).toEqual(repairs);
  });

  test('are changed whatever their path is, and not made where there are none', async () => {
    const path = `data.${'é'.repeat(2_000)}`;
    await store.drift.put('seven', [record({ path })]);
    const [kept] = await store.drift.list('seven');
    const settle = (of: string) =>
      store.drift.change('seven', 'azure/postgres-server', of, (drift) => ({ ...drift, state: 'gone' }));
    await settle(kept?.path ?? '');
    await settle('another');
    await store.drift.change('seven', 'azure/postgres-server', path, () => undefined);
    expect(await store.drift.list('seven')).toMatchObject([{ state: 'gone' }]);
  });

  test('are forgotten when they are old and over, and not while they are different', async () => {
    await store.drift.put('five', [
      record({ path: 'a', state: 'repaired' }),
      record({ path: 'b', state: 'reported' }),
      record({ path: 'c', state: 'gone', lastSeenAt: at('12:00') }),
    ]);
    await store.drift.forget('five', new Date(at('11:00')));
    expect((await store.drift.list('five')).map(({ path }) => path).sort()).toEqual(['b', 'c']);
  });
});
