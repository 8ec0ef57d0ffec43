import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Notice } from '../../../src/graph/finding.ts';
import { clusterVersion, versionNotices } from '../../../src/resources/azure/cluster-version.ts';
import { type SimulatedAzure, startSimulatedAzure } from './simulated-azure.ts';

const listed = (...versions: readonly string[]) => versions.map((version) => ({ version }));
const kinds = (notices: readonly Notice[]): string[] =>
  notices.map(({ id, severity }) => `${severity} ${id}`);

describe('what is said about a version', () => {
  test('is nothing while it is neither old nor behind', () => {
    const facts = { version: '1.34.3', upgrades: [], listed: listed('1.33', '1.34', '1.35') };
    expect(versionNotices(facts)).toEqual([]);
  });

  test('is which newer one there is, the newest by number and not by letter', () => {
    const upgrades = ['1.34.10', '1.34.9'];
    const notices = versionNotices({ version: '1.34.3', upgrades, listed: listed('1.33', '1.34') });
    expect(kinds(notices)).toEqual(['info new-version']);
    expect(notices[0]?.what).toContain('1.34.10');
  });

  test('is that support ends, when it is the oldest of several', () => {
    const facts = { version: '1.33.5', upgrades: [], listed: listed('1.35', '1.33', '1.34') };
    expect(kinds(versionNotices(facts))).toEqual(['warning support-ending']);
    expect(versionNotices({ ...facts, listed: listed('1.33') })).toEqual([]);
  });

  test('is that support has ended, when it is not listed, or only for who pays for it', () => {
    const facts = { version: '1.32.9', upgrades: [] };
    expect(kinds(versionNotices({ ...facts, listed: listed('1.33') }))).toEqual(['error support-ended']);
    const longTerm = [
      { version: '1.32', capabilities: { supportPlan: ['AKSLongTermSupport'] } },
      { version: '1.33', capabilities: { supportPlan: ['KubernetesOfficial', 'AKSLongTermSupport'] } },
    ];
    expect(kinds(versionNotices({ ...facts, listed: longTerm }))).toEqual(['error support-ended']);
    const paid = { ...facts, supportPlan: 'AKSLongTermSupport', listed: longTerm };
    expect(kinds(versionNotices(paid))).toEqual(['warning support-ending']);
  });

  test('does not count previews', () => {
    const preview = [...listed('1.34'), { version: '1.36', isPreview: true }];
    expect(versionNotices({ version: '1.34.3', upgrades: [], listed: preview })).toEqual([]);
  });

  test('is nothing when nothing is listed', () => {
    expect(versionNotices({ version: '1.34.3', upgrades: [], listed: [] })).toEqual([]);
  });
});

describe('in the simulated Azure', () => {
  let azure: SimulatedAzure;
  beforeAll(async () => {
    azure = await startSimulatedAzure(400);
  });
  afterAll(() => azure.stop());

  const noticesNow = async (): Promise<readonly Notice[]> => {
    const seen = await azure.look(azure.scope(), clusterVersion);
    return seen.state === 'ready' ? (seen.notices ?? []) : [];
  };
  const announce = async (kind: string): Promise<void> => {
    const body = JSON.stringify({ kind });
    const answer = await fetch(`${azure.cloud.endpoints.sandbox}/announcements`, { method: 'POST', body });
    expect(answer.status).toBe(200);
  };

  test('the version of the cluster is told, and each announcement becomes a notice; nothing is written', async () => {
    const outputs = await azure.settle(azure.scope(), clusterVersion);
    expect(outputs).toEqual({ version: expect.stringMatching(/^1\.34\.\d+$/) });
    const mark = azure.mark();
    const [before] = await noticesNow();
    expect(before?.id).toBe('new-version');
    await announce('new-kubernetes-version');
    const [after] = await noticesNow();
    expect(after?.id).toBe('new-version');
    expect(after?.what).not.toBe(before?.what);
    expect(await noticesNow()).toEqual([after]);
    await announce('support-ending');
    expect(kinds(await noticesNow())).toEqual(['warning support-ending', 'info new-version']);
    await announce('support-ended');
    expect(kinds(await noticesNow())).toEqual(['error support-ended', 'info new-version']);
    expect(azure.writesSince(mark)).toEqual([]);
  }, 60_000);

  test('not being allowed to look is not a version', async () => {
    const fault = { kind: 'answer', status: 403, code: 'AuthorizationFailed', message: 'not you' } as const;
    azure.cloud.world.faults.replace([{ id: 'refuse', path: 'kubernetesVersions', fault }]);
    await expect(azure.look(azure.scope(), clusterVersion)).rejects.toMatchObject({ statusCode: 403 });
    azure.cloud.world.faults.replace([]);
  });
});
