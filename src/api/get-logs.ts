/**
 * GET /api/deployments/{name}/logs/{workload}: the end of what each pod of a workload, or of an operator the stack leans on,
 * has written, read from the cluster at this moment and kept nowhere. Whoever follows a log as it grows uses
 * `kubectl logs -f`.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { within } from '../checks/patience.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { KubernetesApi } from '../clients/kubernetes-api.ts';
import { podOf, selectionOf } from '../resources/kinds/pods.ts';
import { type Operator, operatorImages, operators, runs } from '../resources/kubernetes/addons.ts';
import { type Workload, workloads } from '../resources/scope.ts';
import { atCloud, liveStack } from './live-stack.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type CloudDependencies, respond } from './respond.ts';

/** So many pods at most, the newest of them: an answer is to stay of a size that a terminal can show. */
const MOST_PODS = 10;
/** A node that is gone is silent for as long as its pods are listed; the logs of the others are not to wait for it. */
const LOG_SECONDS = 10;

const written = [...workloads, ...operators] as const;

const isOperator = (name: Workload | Operator): name is Operator => name in operatorImages;

/** Operators are found by their image: somebody else may have installed them, anywhere. */
async function selectionsOf(
  api: KubernetesApi,
  operator: Operator,
): Promise<readonly ReturnType<typeof selectionOf>[]> {
  const deployments = await api.list({ apiVersion: 'apps/v1', kind: 'Deployment' });
  return deployments.filter((deployment) => runs(deployment, operatorImages[operator])).map(selectionOf);
}

interface PodLog {
  readonly pod: string;
  readonly lines: readonly string[];
  /** Why there are none. */
  readonly why?: string;
}

/** What keeps one log from being read is told in its place; the others have theirs. */
async function logOf(api: KubernetesApi, ...which: Parameters<KubernetesApi['log']>): Promise<PodLog> {
  const [{ name: pod }] = which;
  try {
    const answer = await within(
      LOG_SECONDS,
      api.log(...which).then((text = '') => ({ text })),
    );
    return answer
      ? { pod, lines: answer.text.split('\n').filter((line) => line !== '') }
      : { pod, lines: [], why: `its log did not come within ${LOG_SECONDS} seconds` };
  } catch (error) {
    const { code, message } = toFailure(error);
    if (code === 'UnexpectedError') throw error;
    return { pod, lines: [], why: message };
  }
}

const querySchema = z.object({
  tail: z.coerce
    .number('must be a whole number from 1 to 2000')
    .int('must be a whole number from 1 to 2000')
    .min(1, 'must be a whole number from 1 to 2000')
    .max(2000, 'must be a whole number from 1 to 2000')
    .default(100),
  sinceSeconds: z.coerce
    .number('must be a whole number of seconds')
    .int('must be a whole number of seconds')
    .min(1, 'must be a whole number of seconds')
    .optional(),
  previous: z.enum(['true', 'false'], 'must be true or false').default('false'),
});

export const getLogs = (dependencies: CloudDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (record, request, context) => {
    const workload = z.enum(written).safeParse(request.params['workload']);
    if (!workload.success) {
      return refuse(request, context, 'not-found', { detail: `There are logs of ${written.join(', ')}.` });
    }
    const query = querySchema.safeParse(Object.fromEntries(request.query));
    if (!query.success) {
      const errors = query.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
      return refuse(request, context, 'invalid-request', { detail: 'The query is not right.', errors });
    }
    const { tail: tailLines, sinceSeconds, previous } = query.data;
    return atCloud(request, context, async () => {
      const { names, clients } = liveStack(dependencies, record);
      const api = await clients.kubernetes(names.resourceGroup, names.cluster);
      const selections = isOperator(workload.data)
        ? await selectionsOf(api, workload.data)
        : [{ namespace: names.namespace, labels: `app=${workload.data}` }];
      const found = await Promise.all(
        selections.map(async ({ namespace, labels }) => {
          const listed = await api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, { labels });
          return listed.map((pod) => ({ namespace, ...podOf(pod).metadata }));
        }),
      );
      const pods = found
        .flat()
        .toSorted((one, other) => other.creationTimestamp.localeCompare(one.creationTimestamp));
      const options = {
        tailLines,
        previous: previous === 'true',
        ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
      };
      const logs = await Promise.all(
        pods.slice(0, MOST_PODS).map(({ namespace, name }) => logOf(api, { namespace, name }, options)),
      );
      return respond(200, {
        workload: workload.data,
        pods: logs,
        morePods: Math.max(0, pods.length - MOST_PODS),
      });
    });
  });
