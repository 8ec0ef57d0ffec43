/** A change that the spec has taken over is no difference any more for the resource that found it. */
import type { ManagedCluster } from '@azure/arm-containerservice';
import type { Server } from '@azure/arm-postgresql-flexible';
import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../src/clients/kubernetes-api.ts';
import type { Difference, ResourceKey } from '../../src/graph/resource.ts';
import { type Names, namesOf } from '../../src/naming.ts';
import { clusterBody, clusterDifferences } from '../../src/resources/azure/cluster.ts';
import { parameterDifferences } from '../../src/resources/azure/postgres-parameters.ts';
import { serverBody, serverDifferences } from '../../src/resources/azure/postgres-server.ts';
import { differencesOf, isWishMark, manifestOf } from '../../src/resources/kinds/kubernetes-object.ts';
import { config } from '../../src/resources/kubernetes/config.ts';
import { ollama } from '../../src/resources/kubernetes/ollama.ts';
import { openWebui } from '../../src/resources/kubernetes/open-webui.ts';
import { openWebuiService } from '../../src/resources/kubernetes/open-webui-service.ts';
import { adopt } from '../../src/spec/adopt.ts';
import { parseSpec } from '../../src/spec/parse-spec.ts';
import type { DeploymentSpec, DeploymentSpecInput } from '../../src/spec/spec.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { known } from './kubernetes/known-outputs.ts';

interface Wish {
  readonly spec: DeploymentSpec;
  readonly names: Names;
}
type Compare = (wish: Wish) => readonly Difference[];

const wishOf = (given: DeploymentSpecInput): Wish => {
  const parsed = parseSpec('chat', given);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return { spec: parsed.spec, names: namesOf('chat', parsed.spec) };
};
/** As they were made, with something changed by somebody. */
const before = wishOf(minimalSpec);

const places = { network: { postgresSubnetId: '/subnet' }, zones: { postgresZoneId: '/zone' } };
const server = (change: Partial<Server>): Compare => {
  const made = serverBody(before, places, { value: 'x', version: '1' });
  const { dayOfWeek, startHourUtc, startMinute } = before.spec.postgres.maintenance;
  const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
  const maintenanceWindow = {
    ...{ customWindow: 'Enabled', dayOfWeek: days.indexOf(dayOfWeek) },
    ...{ startHour: startHourUtc, startMinute, ...change.maintenanceWindow },
  };
  return ({ spec }) => serverDifferences(spec, places, { ...made, ...change, maintenanceWindow });
};
const cluster = (change: (made: ManagedCluster) => Partial<ManagedCluster>): Compare => {
  const made = clusterBody(before, '/subnet');
  return ({ spec }) => clusterDifferences(spec, { ...made, ...change(made) });
};
const pool = (fields: object): Compare =>
  cluster(({ agentPoolProfiles = [] }) => ({
    agentPoolProfiles: agentPoolProfiles.map((one) => ({ ...one, ...fields })),
  }));

/** Deployments are in their usual state, not before their first start. */
const running = {
  metadata: { annotations: { 'open-webui-control-plane/good-image': known.images.openWebui } },
} as unknown as KubernetesObject;
type Manifests = Pick<typeof openWebui | typeof ollama | typeof config | typeof openWebuiService, 'objects'>;
function object({ objects }: Manifests, change: (object: unknown) => unknown): Compare {
  const made = (wish: Wish): KubernetesObject => {
    const [manifest] = objects(wish, {});
    if (!manifest) throw new Error('there is no manifest');
    return manifestOf(manifest as Parameters<typeof manifestOf>[0], wish, known as never, running);
  };
  const found = structuredClone(made(before));
  change(found);
  return (wish) => differencesOf(made(wish), found).filter(({ path }) => !isWishMark(path));
}
interface Workload {
  spec: { replicas: number; template: { spec: { containers: [{ resources: object }] } } };
}
const workload = (change: (object: Workload) => void) => (found: unknown) => change(found as Workload);

const cases: readonly [ResourceKey, string, Compare][] = [
  ['azure/postgres-server', 'sku', server({ sku: { name: 'Standard_D4ds_v5', tier: 'GeneralPurpose' } })],
  [
    'azure/postgres-server',
    'backup',
    server({ backup: { backupRetentionDays: 21, geoRedundantBackup: 'Disabled' } }),
  ],
  ['azure/postgres-server', 'day', server({ maintenanceWindow: { dayOfWeek: 6 } })],
  ['azure/postgres-server', 'time', server({ maintenanceWindow: { startHour: 13, startMinute: 30 } })],
  [
    'azure/postgres-parameters',
    'work_mem',
    ({ spec }) => {
      const found = { ...before.spec.postgres.parameters, work_mem: '8192' };
      const configurations = Object.entries(found).map(([name, value]) => ({ name, value }));
      return parameterDifferences(spec.postgres.parameters, configurations);
    },
  ],
  ['azure/cluster', 'tier', cluster(() => ({ sku: { name: 'Base', tier: 'Premium' } }))],
  ['azure/cluster', 'count', pool({ count: 5 })],
  [
    'kubernetes/open-webui',
    'replicas',
    object(
      openWebui as unknown as Manifests,
      workload(({ spec }) => {
        spec.replicas = 5;
      }),
    ),
  ],
  [
    'kubernetes/open-webui',
    'requests',
    object(
      openWebui as unknown as Manifests,
      workload(({ spec }) => {
        const [container] = spec.template.spec.containers;
        container.resources = { ...container.resources, requests: { cpu: '250m', memory: '1536Mi' } };
      }),
    ),
  ],
  [
    'kubernetes/ollama',
    'limits',
    object(
      ollama as unknown as Manifests,
      workload(({ spec }) => {
        const [container] = spec.template.spec.containers;
        container.resources = { ...container.resources, limits: { cpu: '4', memory: '16Gi' } };
      }),
    ),
  ],
  [
    'kubernetes/config',
    'LOG_LEVEL',
    object(config as unknown as Manifests, (found) => {
      (found as { data: Record<string, string> }).data['LOG_LEVEL'] = 'DEBUG';
    }),
  ],
  [
    'kubernetes/open-webui-service',
    'timeout',
    object(openWebuiService as unknown as Manifests, (found) => {
      const service = found as { spec: { sessionAffinityConfig: object } };
      service.spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 60 } };
    }),
  ],
];

describe('a change that the spec has taken over', () => {
  test.each(cases)('of %s (%s) is no difference any more', (resource, _, compare) => {
    const differences = compare(before);
    expect(differences).not.toEqual([]);
    const items = differences.map((difference) => ({ resource, difference }));
    const { given: after, refused } = adopt({ name: 'chat', spec: minimalSpec }, before.spec, items);
    expect(refused).toEqual([]);
    expect(compare(wishOf(after))).toEqual([]);
  });
});
