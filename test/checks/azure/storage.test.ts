/** The room that is left in the file share, from look to look. */
import { describe, expect, test } from 'vitest';
import { fileShareCheck } from '../../../src/checks/azure/storage.ts';
import type { CheckFinding } from '../../../src/checks/check.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { aRound } from '../a-round.ts';
import { foundBefore } from '../found-before.ts';

const QUOTA_GIB = 100;
const since = '2026-11-24T11:00:00.000Z';

/** What is found of a share of which so many percent are in use. */
const look = (percent: number, before: readonly CheckFinding[] = []) => {
  const share = { shareQuota: QUOTA_GIB, shareUsageBytes: (QUOTA_GIB * 1024 ** 3 * percent) / 100 };
  const storage = (() => ({
    fileShares: { get: async () => share },
    storageAccounts: { getProperties: async () => ({ id: '/account' }) },
  })) as unknown as Clients['storage'];
  const round = aRound({ clients: { storage }, spec: { storage: { quotaGiB: QUOTA_GIB } } });
  const told = before.map(({ id, severity }) => ({ id, severity, since }));
  return fileShareCheck.run({ ...round, foundBefore: foundBefore(...told) });
};

describe('a file share that fills', () => {
  test('has room, is nearly full, is full: one finding that gets worse', async () => {
    expect(await look(85)).toEqual([]);
    const nearly = await look(86);
    expect(nearly).toMatchObject([{ id: 'file-share-full', severity: 'warning' }]);
    expect(await look(95, nearly)).toEqual(nearly);
    expect(await look(96, nearly)).toMatchObject([{ id: 'file-share-full', severity: 'error' }]);
  });

  test('is nearly full, in the same words, until there is clearly room again', async () => {
    const nearly = await look(86);
    expect(await look(81, nearly)).toEqual(nearly);
    expect(await look(80, nearly)).toEqual([]);
    expect(await look(81)).toEqual([]);
  });

  test('is full, in the same words, until it is clearly not any more', async () => {
    const full = await look(96);
    expect(await look(91, full)).toEqual(full);
    expect(await look(90, full)).toEqual(await look(86));
    expect(await look(79, full)).toEqual([]);
  });
});
