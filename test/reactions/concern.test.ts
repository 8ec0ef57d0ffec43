import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Concern,
  concernOf,
  referenceSecretNames,
  secretKeepers,
  stackSecrets,
} from '../../src/reactions/concern.ts';
import { readEvent } from '../../src/reactions/event.ts';
import {
  asCloudEvent,
  changeOf,
  cluster,
  clusterEvent,
  deployment,
  group,
  newKubernetesVersion,
  newVersionOf,
  nodeGroup,
  poolDelete,
  pushOf,
  type Sample,
  samples,
  scaleSetWrite,
  secretEvent,
  subscriptionId,
} from './event-samples.ts';

function concern(value: unknown, of = deployment): Concern | undefined {
  const event = readEvent(value);
  return event && concernOf(event, of);
}
const nodes = ['azure/cluster', 'azure/node-identity'];

describe('a secret of the deployment’s vault', () => {
  test.each(stackSecrets)('%s has every secret looked at', (name) => {
    expect(concern(newVersionOf(name))).toEqual({
      what: `the secret ${name} has a new version`,
      look: secretKeepers,
    });
  });

  test.each(referenceSecretNames)('%s has the reference secrets looked at', (name) => {
    expect(concern(newVersionOf(name))?.look).toEqual(['azure/reference-secrets']);
  });

  test.each([
    ['SecretNearExpiry', 'expires within 30 days'],
    ['SecretExpired', 'has expired'],
  ])('matters as well when %s tells of it', (type, words) => {
    expect(concern(secretEvent(type, 'cf-tunnel-token'))).toEqual({
      what: `the secret cf-tunnel-token ${words}`,
      look: secretKeepers,
    });
  });

  test('that the stack does not keep is nothing to look at', () => {
    expect(concern(newVersionOf('my-own'))).toEqual({
      what: 'the secret my-own has a new version',
      look: [],
      why: 'the stack keeps no secret of that name',
    });
  });

  test('is known by the name that its resource gives it', () => {
    const folder = join(import.meta.dirname, '../../src/resources');
    const sources = ['azure', 'entra', 'cloudflare']
      .flatMap((cloud) => readdirSync(join(folder, cloud)).map((file) => join(folder, cloud, file)))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    for (const name of [...stackSecrets, ...referenceSecretNames]) expect(sources).toContain(`'${name}'`);
  });

  test('is not a key or a certificate', () => {
    expect(concern(secretEvent('KeyNewVersionCreated', 'webui-secret-key'))).toMatchObject({ look: [] });
  });
});

describe('a change of nodes', () => {
  test.each<[string, Sample]>([
    ['a scale set that was written', scaleSetWrite],
    [
      'a scale set that was deleted',
      changeOf(
        scaleSetWrite.subject,
        'Microsoft.Compute/virtualMachineScaleSets/delete',
        'ResourceDeleteSuccess',
      ),
    ],
    [
      'instances that were taken off a scale set',
      changeOf(
        scaleSetWrite.subject,
        'Microsoft.Compute/virtualMachineScaleSets/delete/action',
        'ResourceActionSuccess',
      ),
    ],
    ['a pool that was deleted', poolDelete],
    [
      'a pool that was written',
      changeOf(`${cluster}/agentPools/np2`, 'Microsoft.ContainerService/managedClusters/agentPools/write'),
    ],
    ['the cluster that was written', changeOf(cluster, 'Microsoft.ContainerService/managedClusters/write')],
  ])('%s has cluster and identity looked at', (_, sample) => {
    expect(concern(sample)?.look).toEqual(nodes);
  });

  test.each(['Started', 'Succeeded', 'Failed'])('NodePoolRolling%s has the identity looked at', (how) => {
    const event = clusterEvent(`NodePoolRolling${how}`, { nodePoolName: 'np2' });
    expect(concern(event)).toMatchObject({
      what: expect.stringContaining('np2'),
      look: ['azure/node-identity'],
    });
  });

  test('is looked for where AKS keeps nodes by itself while nobody knows where', () => {
    const { nodeResourceGroup: _, ...unknown } = deployment;
    expect(concern(scaleSetWrite, unknown as typeof deployment)?.look).toEqual(nodes);
    expect(concern(scaleSetWrite, { ...deployment, nodeResourceGroup: 'elsewhere' })).toBeUndefined();
  });

  test.each<[string, Sample]>([
    [
      'that failed',
      changeOf(
        scaleSetWrite.subject,
        'Microsoft.Compute/virtualMachineScaleSets/write',
        'ResourceWriteFailure',
      ),
    ],
    [
      'of something else among the nodes',
      changeOf(
        `${nodeGroup}/providers/Microsoft.Network/loadBalancers/kubernetes`,
        'Microsoft.Network/loadBalancers/write',
      ),
    ],
    [
      'of something else in the group',
      changeOf(
        `${group}/providers/Microsoft.Storage/storageAccounts/x`,
        'Microsoft.Storage/storageAccounts/write',
      ),
    ],
    [
      'that only asked the cluster for a credential',
      changeOf(
        cluster,
        'Microsoft.ContainerService/managedClusters/listClusterUserCredential/action',
        'ResourceActionSuccess',
      ),
    ],
  ])('%s is nothing to look at', (_, sample) => {
    expect(concern(sample)).toMatchObject({ look: [], why: expect.any(String) });
  });
});

describe('an image', () => {
  test.each(['open-webui', 'ollama', 'cloudflared', 'valkey'])(
    'of %s has the images looked at',
    (repository) => {
      expect(concern(pushOf({ repository, tag: 'v2' }))).toEqual({
        what: `the image ${repository}:v2 was pushed`,
        look: ['azure/images'],
      });
    },
  );

  test.each<[string, Sample, RegExp]>([
    ['without a tag', pushOf({ repository: 'open-webui' }), /no tag/],
    ['with an empty tag', pushOf({ repository: 'open-webui', tag: '' }), /no tag/],
    [
      'of another repository',
      pushOf({ repository: 'open-webui/cache', tag: 'v2' }),
      /no image of that repository/,
    ],
    ['that is a chart', pushOf({ repository: 'open-webui', tag: 'v2' }, 'chart_push'), /chart_push/],
    [
      'that was deleted',
      {
        ...pushOf({ repository: 'open-webui' }, 'delete'),
        eventType: 'Microsoft.ContainerRegistry.ImageDeleted',
      },
      /only pushed images/,
    ],
  ])('%s is nothing to look at', (_, sample, why) => {
    expect(concern(sample)).toMatchObject({ look: [], why: expect.stringMatching(why) });
  });
});

describe('news of the cluster', () => {
  test.each<[string, Sample]>([
    ['a new version', newKubernetesVersion],
    ['support that ends', clusterEvent('ClusterSupportEnding', { kubernetesVersion: '1.33' })],
    ['support that has ended', clusterEvent('ClusterSupportEnded', { kubernetesVersion: '1.33' })],
  ])('of %s has its version looked at', (_, sample) => {
    expect(concern(sample)?.look).toEqual(['azure/cluster-version']);
  });

  test('of a kind nobody knows is nothing to look at', () => {
    expect(concern(clusterEvent('SomethingNew', {}))).toMatchObject({ look: [] });
  });
});

describe('what is looked at', () => {
  test('is a resource', () => {
    for (const key of samples.flatMap((sample) => concern(sample)?.look ?? [])) {
      expect(existsSync(join(import.meta.dirname, '../../src/resources', `${key}.ts`)), key).toBe(true);
    }
  });
});

describe('whatever the event', () => {
  const anySample = fc.constantFrom(...samples);
  /** Other case, blanks around it. */
  const respelled = (text: string): fc.Arbitrary<string> =>
    fc
      .tuple(fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), fc.constantFrom('', ' ', '\t', '  '))
      .map(
        ([flips, blank]) =>
          blank +
          [...text]
            .map((letter, index) => (flips[index % 8] ? letter.toUpperCase() : letter.toLowerCase()))
            .join('') +
          blank,
      );

  test('both envelopes lead to the same', () => {
    for (const sample of samples) expect(concern(asCloudEvent(sample))).toEqual(concern(sample));
  });

  test('case and blanks do not matter', () => {
    const changed = anySample.chain((sample) =>
      fc
        .record({
          topic: respelled(sample.topic),
          subject: respelled(sample.subject),
          eventType: respelled(sample.eventType),
        })
        .map((parts) => ({ sample, event: { ...sample, ...parts } })),
    );
    fc.assert(
      fc.property(changed, ({ sample, event }) => {
        expect(concern(event)?.look).toEqual(concern(sample)?.look);
      }),
    );
  });

  test('what belongs to somebody else is none of this deployment’s business', () => {
    const others = [
      ['another subscription', subscriptionId, '00000000-0000-4000-8000-0000000000ff'],
      ['another group', 'rg-chat', 'rg-chat2'],
      ['another vault', deployment.names.vault, `${deployment.names.vault}x`],
      ['another registry', 'acrchat', 'acrchatter'],
      ['another cluster', 'aks-chat', 'aks-chat-2'],
    ] as const;
    for (const [whose, ours, theirs] of others) {
      for (const sample of samples) {
        const text = JSON.stringify(sample);
        if (!`${sample.topic}${sample.subject}`.includes(ours)) continue;
        if (sample === poolDelete && ours === 'aks-chat') continue;
        const event: unknown = JSON.parse(text.replaceAll(ours, theirs));
        expect(concern(event), `${whose}: ${sample.eventType}`).toBeUndefined();
      }
    }
    const neighbour = JSON.parse(JSON.stringify(poolDelete).replaceAll('aks-chat', 'aks-chat-2')) as Sample;
    expect(concern(neighbour)).toMatchObject({ look: [] });
  });

  test('nothing is thrown, and what is said is short and one line', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 3_000 }), fc.jsonValue());
    const parts = fc.record(
      { topic: text, subject: text, eventType: text, data: fc.oneof(text, fc.dictionary(fc.string(), text)) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(anySample, parts, (sample, changed) => {
        const found = concern({ ...sample, ...changed });
        if (!found) return;
        expect(found.what.length + (found.why?.length ?? 0)).toBeLessThan(700);
        expect(found.what).not.toMatch(/[\r\n]/);
        expect(found.look.length > 0).toBe(found.why === undefined);
      }),
      { numRuns: 1_000 },
    );
  });
});
