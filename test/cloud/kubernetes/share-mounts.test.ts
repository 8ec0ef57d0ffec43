/** What becomes of mounts of the share when the account's key is regenerated, and the pod that proves a write. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import { proofPod } from '../../../src/resources/kubernetes/share-write.ts';
import { specOf } from '../../resources/spec.ts';
import { call } from './client.ts';
import { eventually, REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import { apply, type Manifest, NAMESPACE } from './stack.ts';

const IMAGE = `${REGISTRY}/open-webui:v1`;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
let world: SmallWorld;

const keySecret = (key: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'open-webui-storage' },
  stringData: { azurestorageaccountname: 'stowui', azurestorageaccountkey: key },
});
const pairOf = (name: string): readonly Manifest[] => [
  {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, labels: { volume: name } },
    spec: {
      capacity: { storage: '50Gi' },
      accessModes: ['ReadWriteMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      csi: {
        driver: 'file.csi.azure.com',
        volumeHandle: `rg#stowui#share##${name}`,
        volumeAttributes: { shareName: 'share', protocol: 'smb' },
        nodeStageSecretRef: { name: 'open-webui-storage', namespace: NAMESPACE },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteMany'],
      storageClassName: '',
      resources: { requests: { storage: '50Gi' } },
      selector: { matchLabels: { volume: name } },
    },
  },
];
const user = (name: string, claimName: string, nodeName?: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    ...(nodeName === undefined ? {} : { nodeName }),
    containers: [
      { name: 'user', image: `${REGISTRY}/netshoot:v1`, volumeMounts: [{ name: 'd', mountPath: '/d' }] },
    ],
    volumes: [{ name: 'd', persistentVolumeClaim: { claimName } }],
  },
});
const podNamed = async (name: string) => (await call(world, 'GET', `${PODS}/${name}`)).body;
const phaseOf = async (name: string) => at(await podNamed(name), 'status', 'phase');
const prove = async (claim: string): Promise<unknown> => {
  await apply(world, proofPod(specOf() as never, claim, IMAGE) as unknown as Manifest);
  const phase = await eventually(
    () => phaseOf('open-webui-share-write'),
    (seen) => seen === 'Succeeded' || seen === 'Failed',
  );
  await call(world, 'DELETE', `${PODS}/open-webui-share-write`);
  await eventually(
    async () => (await call(world, 'GET', `${PODS}/open-webui-share-write`)).status,
    (status) => status === 404,
  );
  return phase;
};

beforeAll(async () => {
  // A proof has two minutes of the cloud's time: enough of ours also on a busy machine.
  world = await startSmallWorld({ speed: 100 });
  world.state.secrets.set('storage-account-key', 'first');
  await apply(world, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await eventually(
    async () => (await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`)).status,
    (status) => status === 200,
  );
  const objects = [keySecret('first'), ...pairOf('open-webui-data'), ...pairOf('open-webui-data-key2')];
  for (const object of objects) await apply(world, object);
});
afterAll(() => world.stop());

describe('a share whose key is regenerated', () => {
  let node = '';

  test('can be written to before', async () => {
    await apply(world, user('before', 'open-webui-data'));
    await eventually(
      () => phaseOf('before'),
      (phase) => phase === 'Running',
    );
    node = String(at(await podNamed('before'), 'spec', 'nodeName'));
    expect(await prove('open-webui-data')).toBe('Succeeded');
  });

  test('stays mounted where it is, also for pods that come to that node later', async () => {
    world.state.secrets.set('storage-account-key', 'second');
    world.world.touch();
    await apply(world, user('later', 'open-webui-data', node));
    await eventually(
      () => phaseOf('later'),
      (phase) => phase === 'Running',
    );
    expect(await phaseOf('before')).toBe('Running');
  });

  test('cannot be mounted afresh with the old key: the proof fails', async () => {
    expect(await prove('open-webui-data-key2')).toBe('Failed');
  });

  test('can be with the new one, through a volume of its own', async () => {
    await apply(world, keySecret('second'));
    expect(await prove('open-webui-data-key2')).toBe('Succeeded');
    expect(await phaseOf('before')).toBe('Running');
  });
});
