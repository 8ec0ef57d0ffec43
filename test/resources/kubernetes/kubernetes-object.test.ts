import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../../src/resources/kinds/kubernetes-object.ts';
import { differencesOf, isWishMark, manifestOf } from '../../../src/resources/kinds/kubernetes-object.ts';
import { specOf } from '../spec.ts';

type NoDependencies = Record<never, never>;

const deployment = (resources: object, more: object = {}): Manifest<NoDependencies> => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'demo',
  body: () => ({
    spec: {
      template: {
        spec: {
          tolerations: [],
          containers: [
            { name: 'web', image: 'web@sha256:1', env: [{ name: 'A', value: '1' }], resources, ...more },
          ],
        },
      },
    },
  }),
});

const wanted = manifestOf(deployment({ requests: { cpu: '1000m', memory: '1.5Gi' } }), specOf(), {});

/** As the API server gives it back: defaults filled in, quantities rewritten, Reloader's variable added. */
const found = {
  ...wanted,
  metadata: { ...wanted.metadata, uid: '1', resourceVersion: '5', generation: 2 },
  spec: {
    replicas: 1,
    template: {
      spec: {
        restartPolicy: 'Always',
        containers: [
          { name: 'sidecar', image: 'injected' },
          {
            name: 'web',
            image: 'web@sha256:1',
            imagePullPolicy: 'IfNotPresent',
            env: [
              { name: 'STAKATER_DEMO_CONFIGMAP', value: 'hash' },
              { name: 'A', value: '1' },
            ],
            resources: { requests: { cpu: '1', memory: '1536Mi' } },
          },
        ],
      },
    },
  },
  status: { replicas: 1 },
};

describe('kinds/kubernetes-object', () => {
  test('carries namespace, labels, mark and a fingerprint of the wish', () => {
    expect(wanted.metadata).toEqual({
      name: 'demo',
      namespace: 'open-webui',
      labels: {
        'app.kubernetes.io/name': 'demo',
        'app.kubernetes.io/part-of': 'open-webui',
        'app.kubernetes.io/managed-by': 'open-webui-control-plane',
      },
      annotations: {
        'open-webui-control-plane/deployment': 'chat',
        'open-webui-control-plane/wish': expect.stringMatching(/^[0-9a-f]{16}$/),
      },
    });
  });

  test("leaves defaults, rewritten quantities and other people's additions alone", () => {
    expect(differencesOf(wanted, found)).toEqual([]);
  });

  test('tells what is not as wished, by object, path and name', () => {
    const changed = manifestOf(deployment({ requests: { cpu: '2', memory: '1.5Gi' } }), specOf(), {});
    expect(differencesOf(changed, found)).toContainEqual({
      path: 'Deployment demo: spec.template.spec.containers.web.resources.requests.cpu',
      wanted: '2',
      found: '1',
    });
  });

  test('does not tell what may be a secret, by what it is or by its name', () => {
    const rediss = 'rediss://:hunter2hunter2@cache.example.com:6380/0';
    const withEnv = (env: readonly object[]) => manifestOf(deployment({}, { env }), specOf(), {});
    const values = (asked: readonly object[], is: readonly object[]) =>
      differencesOf(withEnv(asked), withEnv(is))
        .filter(({ path }) => !isWishMark(path))
        .map(({ path, wanted, found }) => [path.split('.').slice(-2).join('.'), wanted, found]);
    const redis = { name: 'REDIS_URL', value: 'redis://redis:6379/0' };
    expect(values([redis], [{ ...redis, value: rediss }])).toEqual([
      ['REDIS_URL.value', redis.value, '(not shown: may hold a secret)'],
    ]);
    expect(values([{ ...redis, value: rediss }], [redis])).toEqual([
      ['REDIS_URL.value', '(not shown: may hold a secret)', redis.value],
    ]);
    expect(values([redis], [{ ...redis, value: [{ deep: rediss }] }])).toEqual([
      ['REDIS_URL.value', redis.value, '(not shown: may hold a secret)'],
    ]);
    expect(values([{ name: 'API_KEY', value: '' }], [{ name: 'API_KEY', value: 'plain' }])).toEqual([
      ['API_KEY.value', '(not shown: may hold a secret)', '(not shown: may hold a secret)'],
    ]);
    expect(values([{ name: 'LOG_LEVEL', value: 'INFO' }], [{ name: 'LOG_LEVEL', value: 'DEBUG' }])).toEqual([
      ['LOG_LEVEL.value', 'INFO', 'DEBUG'],
    ]);
  });

  test('a missing object is one difference', () => {
    expect(differencesOf(wanted, undefined)).toEqual([
      { path: 'Deployment demo', wanted: 'present', found: null },
    ]);
  });

  test('notices that a field is no longer wished, which no comparison of fields shows', () => {
    const before = manifestOf(deployment({}, { workingDir: '/tmp' }), specOf(), {});
    const after = manifestOf(deployment({}), specOf(), {});
    expect(differencesOf(after, before).map(({ path }) => path)).toEqual([
      'Deployment demo: metadata.annotations.open-webui-control-plane/wish',
    ]);
  });
});
