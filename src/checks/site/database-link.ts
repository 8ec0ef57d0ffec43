/** Whether Open WebUI gets at its database, as its pods say themselves. */
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { isReady, type Pod, podOf } from '../../resources/kinds/pods.ts';
import { WEBUI_PORT } from '../../resources/kubernetes/open-webui-service.ts';
import { type Asked, askPod, askService } from '../kubernetes/ask-service.ts';
import { databaseBlame } from '../kubernetes/last-words.ts';
import { logOf } from '../kubernetes/pod-log.ts';
import { type Link, silenceIn, type Walk, WEBUI } from './link.ts';

/** Each pod has connections of its own, so each is asked. */
export const database: Link = {
  name: 'the database',
  async look(walk) {
    const path = '/health/db';
    const answers = await askPods(walk, path);
    const silences = answers.flatMap((answer) => silenceIn(answer, path) ?? []).toSorted();
    const [said] = silences;
    if (said === undefined) return undefined;
    const blame = databaseBlame(await lastLog(walk));
    const why = blame ? `: ${blame.why}` : '';
    const words = blame ? `${said}; its log says: ${blame.words}` : said;
    const isShare = silences.length < answers.length;
    return {
      id: 'database',
      resource: blame?.resource ?? 'azure/postgres-server',
      what: isShare
        ? `Some pods of Open WebUI do not get at their database${why}.`
        : `Open WebUI does not get at its database${why}.`,
      said: isShare ? `${silences.length} of ${answers.length} pods: ${words}` : words,
      ...(isShare ? { breaks: 'Users whose requests come to these pods cannot chat.' } : {}),
      remedy: blame?.remedy ?? 'az postgres flexible-server show --query state',
    };
  },
};

/** All that the Service delivers to; what has gone in the meantime is no answer. */
async function askPods({ api, namespace }: Walk, path: string): Promise<readonly Asked[]> {
  const pods = await podsOf(api, namespace);
  const answers = await Promise.all(
    pods
      .filter((pod) => !pod.metadata.deletionTimestamp && isReady(pod))
      .map(({ metadata }) => askPod(api, { namespace, name: metadata.name, port: WEBUI_PORT }, path)),
  );
  const told = answers.filter((answer) => answer.isAnswered || !answer.isMissing);
  return told.length > 0 ? told : [await askService(api, { namespace, ...WEBUI }, path)];
}

async function podsOf(api: KubernetesApi, namespace: string): Promise<readonly Pod[]> {
  const pods = await api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, { labels: 'app=open-webui' });
  return pods.map(podOf);
}

/** Of all pods that serve, as far as they can be read: each has connections of its own. */
async function lastLog({ api, namespace }: Walk): Promise<string> {
  const running = (await podsOf(api, namespace)).filter(({ status }) =>
    status.containerStatuses.some(({ state }) => state.running !== undefined),
  );
  const logs = await Promise.all(
    running.map(({ metadata }) =>
      logOf(
        api,
        { namespace, name: metadata.name, container: 'open-webui' },
        { tailLines: 100, sinceSeconds: 3600 },
      ),
    ),
  );
  return logs.filter((log) => log !== undefined).join('\n');
}
