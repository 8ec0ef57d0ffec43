/** Who changes things by hand, each through the clouds' own APIs: the tenant's operator, and a pipeline with an application of its own. */
import { randomUUID } from 'node:crypto';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { CloudClient } from '../../../sandbox/cloud-client.ts';
import type { Answer, Ask } from '../cloud-api.ts';
import { ClusterApi } from '../cluster-api.ts';
import type { Sample } from '../sample.ts';

const ARM = 'https://management.azure.com';
/** Contributor: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles */
const CONTRIBUTOR = 'b24988ac-6180-42a0-ab88-20f7382dd24c';
/** Real milliseconds that a new application and its role may take to be known everywhere. */
const PATIENCE = 120_000;

export const { subscriptionId, tenantId } = settings;
export const operatorName = settings.operator.userPrincipalName;
/** The same person, as Cloudflare tells with which API token. */
export const operatorAtCloudflare = `${operatorName} (API token by-hand)`;
export const group = `/subscriptions/${subscriptionId}/resourceGroups/rg-openwebui`;

export type Json = unknown;

export interface People {
  /** ARM as the operator. */
  arm(method: string, path: string, body?: Json): Promise<Json>;
  /** ARM as the pipeline. */
  pipeline(method: string, path: string, body?: Json): Promise<Json>;
  /** Client id of the pipeline's application. */
  readonly pipelineName: string;
  graph(method: string, path: string, body?: Json): Promise<Json>;
  cloudflare(method: string, path: string, body?: Json): Promise<Json>;
  readonly cluster: ClusterApi;
  close(): void;
}

export async function gatherPeople(sample: Sample): Promise<People> {
  const { clouds, sandbox } = sample;
  const ask = (method: string, body: Json): Ask => ({ method, ...(body === undefined ? {} : { body }) });
  const arm: People['arm'] = async (method, path, body) => (await clouds.arm(path, ask(method, body))).body;
  const graph: People['graph'] = async (method, path, body) =>
    (await clouds.graph(path, ask(method, body))).body;
  const cloudflareToken = await clouds.token('https://api.cloudflare.com');
  const pipeline = await pipelineOf(sample, arm, graph);
  const client = new CloudClient(sandbox.endpoints);
  return {
    arm,
    graph,
    pipeline: async (method, path, body) =>
      expectSuccess(await pipeline.send(path, ask(method, body)), path).body,
    pipelineName: pipeline.appId,
    cloudflare: async (method, path, body) => {
      const answer = await clouds.send(`https://api.cloudflare.com/client/v4${path}`, {
        ...ask(method, body),
        headers: { authorization: `Bearer ${cloudflareToken}` },
      });
      return (expectSuccess(answer, path).body as { result: Json }).result;
    },
    cluster: new ClusterApi(client, sandbox.endpoints),
    close: () => client.close(),
  };
}

function expectSuccess(answer: Answer, what: string): Answer {
  if (answer.status >= 400) throw new Error(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

/** An application with a secret that may write to the subscription, as a deployment pipeline has one. */
async function pipelineOf({ clouds }: Sample, arm: People['arm'], graph: People['graph']) {
  const { id, appId } = (await graph('POST', '/applications', { displayName: 'ci-pipeline' })) as {
    id: string;
    appId: string;
  };
  const { secretText } = (await soon(() => graph('POST', `/applications/${id}/addPassword`, {}))) as {
    secretText: string;
  };
  const principal = (await soon(() => graph('POST', '/servicePrincipals', { appId }))) as { id: string };
  const subscription = `/subscriptions/${subscriptionId}`;
  await arm(
    'PUT',
    `${subscription}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}?api-version=2022-04-01`,
    {
      properties: {
        roleDefinitionId: `${subscription}/providers/Microsoft.Authorization/roleDefinitions/${CONTRIBUTOR}`,
        principalId: principal.id,
        principalType: 'ServicePrincipal',
      },
    },
  );
  const token = async (): Promise<string> => {
    const answer = await clouds.sendForm(`https://login.microsoftonline.com/${tenantId}/oauth2/v2.0/token`, {
      grant_type: 'client_credentials',
      client_id: appId,
      client_secret: secretText,
      scope: `${ARM}/.default`,
    });
    return (answer.body as { access_token?: string }).access_token ?? '';
  };
  const send = async (path: string, ask: Ask): Promise<Answer> =>
    clouds.send(`${ARM}${path}`, { ...ask, headers: { authorization: `Bearer ${await token()}` } });
  await soon(async () =>
    expectSuccess(await send(`${group}?api-version=2025-04-01`, {}), 'the pipeline may not read the group'),
  );
  return { appId, send };
}

/** What is new in the directory, and roles, are not known everywhere at once. */
async function soon<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
