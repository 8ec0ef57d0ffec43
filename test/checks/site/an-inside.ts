/** The inside of a cluster as the API server tells it to checks: pods, and what answers behind its proxy. */
import type { KubernetesApi, KubernetesObject, ProxyAnswer } from '../../../src/clients/kubernetes-api.ts';
import { KubernetesError } from '../../../src/clients/kubernetes-api.ts';

export interface Question {
  readonly whom: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** What is answered to a question; a promise that never ends is silence. */
export type Reply = (question: Question) => ProxyAnswer | Promise<ProxyAnswer> | undefined;

export const ok: ProxyAnswer = { status: 200, body: {} };
export const silence = (): Promise<ProxyAnswer> => new Promise(() => undefined);
export const gone = (): never => {
  throw new KubernetesError(404, 'NotFound', 'not found');
};

const pod = (app: string, index: number): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `${app}-${index}`, labels: { app } },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [{ name: app, ready: true, state: { running: {} } }],
  },
});
const slice: KubernetesObject = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'open-webui' },
  endpoints: [{ conditions: { ready: true } }],
  ports: [{ port: 8080 }],
};

/** All that is asked for is well unless `reply` says otherwise; what is asked is remembered. */
export function anInside(
  parts: { readonly reply?: Reply; readonly pods?: number; readonly log?: KubernetesApi['log'] } = {},
): KubernetesApi & { readonly asked: readonly Question[] } {
  const { reply = () => undefined, pods = 1, log = async () => '' } = parts;
  const asked: Question[] = [];
  const answer = async (question: Question): Promise<ProxyAnswer> => {
    asked.push(question);
    const given = await reply(question);
    if (given) return given;
    const models = [{ name: 'tinyllama:latest', size: 700_000_000 }];
    return question.path === '/api/tags' ? { status: 200, body: { models } } : ok;
  };
  const api: Partial<KubernetesApi> & { readonly asked: readonly Question[] } = {
    asked,
    find: async () => slice,
    list: async ({ kind }, { labels = '' } = {}) => {
      if (kind === 'EndpointSlice') return [slice];
      return Array.from({ length: pods }, (_, index) => pod(labels.replace('app=', ''), index));
    },
    log,
    requestService: ({ name }, request) => answer({ whom: name, ...request }),
    requestPod: ({ name, port }, request) => answer({ whom: `${name}:${port}`, ...request }),
  };
  return api as KubernetesApi & { readonly asked: readonly Question[] };
}
