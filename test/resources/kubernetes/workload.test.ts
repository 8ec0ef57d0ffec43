import { describe, expect, test } from 'vitest';
import { troubleOf } from '../../../src/resources/kinds/pods.ts';
import { isRolledOut } from '../../../src/resources/kinds/workload.ts';

const pod = (change: Partial<Parameters<typeof troubleOf>[0]['status']>) => ({
  metadata: { name: 'open-webui-1', labels: {}, creationTimestamp: '' },
  status: { conditions: [], containerStatuses: [], ...change },
});
const container = (waiting: { reason: string; message: string }, more: object = {}) => ({
  name: 'open-webui',
  ready: false,
  restartCount: 0,
  state: { waiting },
  lastState: {},
  ...more,
});

describe('kinds/workload', () => {
  test.each([
    [
      'an image that cannot be pulled',
      pod({ containerStatuses: [container({ reason: 'ImagePullBackOff', message: 'not found' })] }),
      'pod open-webui-1 waits: ImagePullBackOff: not found',
    ],
    [
      'a pod that fits nowhere',
      pod({
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/3 nodes are available',
          },
        ],
      }),
      'pod open-webui-1 cannot be scheduled: 0/3 nodes are available',
    ],
    [
      'a crash loop with its last words',
      pod({
        containerStatuses: [
          container(
            { reason: 'CrashLoopBackOff', message: 'back-off 5m0s' },
            {
              restartCount: 4,
              lastState: { terminated: { reason: 'Error', exitCode: 1, message: 'no database' } },
            },
          ),
        ],
      }),
      'pod open-webui-1 crashes again and again (4 restarts of open-webui): Error, exit code 1: no database',
    ],
  ])('tells %s', (_, given, told) => {
    expect(troubleOf(given)).toBe(told);
  });

  test('says nothing of a pod that is just being made', () => {
    expect(
      troubleOf(pod({ containerStatuses: [container({ reason: 'ContainerCreating', message: '' })] })),
    ).toBeUndefined();
  });

  test.each([
    [
      'all is new and ready',
      { observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3 },
      true,
    ],
    [
      'the change has not been seen',
      { observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3 },
      false,
    ],
    [
      'an old pod is left',
      { observedGeneration: 2, replicas: 4, updatedReplicas: 3, readyReplicas: 4 },
      false,
    ],
    ['one is not ready', { observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 2 }, false],
  ])('when %s', (_, status, expected) => {
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'open-webui', generation: 2 },
      spec: { replicas: 3, selector: { matchLabels: { app: 'open-webui' } } },
      status,
    };
    expect(isRolledOut(deployment)).toBe(expected);
  });
});
