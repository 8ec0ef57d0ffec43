/**
 * `npm run try -- WHAT`: does by hand, as the tenant's operator and through the clouds' own APIs, what the control plane
 * then reacts to. Needs a sandbox that runs (`npm start`).
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { CloudClient } from './cloud-client.ts';
import { ControlPlane } from './control-plane.ts';
import { Operator } from './operator.ts';
import type { Endpoints } from './sandbox.ts';

const usage = `npm run try -- WHAT [options]
  rotate-secret   a new version of the web UI's secret key in Key Vault: everybody has to sign in again
  add-node-pool   one more pool, of one node, in the cluster
  push-image      another image of Open WebUI under the tag that the deployment follows
    --bad         one that crashes when it starts
    --tag TAG     under another tag
  stop-database   PostgreSQL is stopped: health finds it, and it is left so until somebody starts it
  start-database  it is started again
  --name NAME     name of the deployment (default open-webui)
  --directory DIR where the sandbox keeps its state (default .sandbox)`;

const SECRET = 'webui-secret-key';

interface Errand {
  readonly operator: Operator;
  readonly controlPlane: ControlPlane;
  readonly name: string;
  readonly tag: string | undefined;
  readonly isBad: boolean;
}

/** Each answers what was done and what there is to watch. */
const errands: Readonly<Record<string, (errand: Errand) => Promise<readonly string[]>>> = {
  'rotate-secret': async ({ operator, name }) => {
    const vault = await operator.find(name, 'Microsoft.KeyVault/vaults');
    const version = await operator.setSecret(vault.name, SECRET, randomBytes(32).toString('base64'));
    return [
      `${SECRET} in ${vault.name} has the new version ${version}.`,
      'Open WebUI signs its sessions with it: once the pods are replaced, everybody has to sign in again.',
      'To watch: Key Vault tells of it, External Secrets is made to sync, the pods of open-webui are replaced once.',
    ];
  },
  'add-node-pool': async ({ operator, name }) => {
    const cluster = await operator.find(name, 'Microsoft.ContainerService/managedClusters');
    const pool = await operator.addNodePool(cluster.id);
    return [
      `The node pool ${pool} is being added to ${cluster.name}.`,
      'To watch: its scale set gets the identity with which External Secrets reads the vault, some minutes of the',
      "clouds' time from now.",
    ];
  },
  'push-image': async ({ operator, controlPlane, name, tag, isBad }) => {
    const registry = await operator.find(name, 'Microsoft.ContainerRegistry/registries');
    const followed = followedTag(await controlPlane.deployment(name));
    const wanted = tag ?? (await tagToPush(operator, registry.name, followed));
    const digest = await operator.pushImage(registry.name, {
      repository: followed.repository,
      tag: wanted,
      annotations: {
        'org.opencontainers.image.title': 'open-webui',
        'org.opencontainers.image.version': wanted,
        ...(isBad ? { 'com.example.sandbox.behaviour': 'crashes' } : {}),
      },
    });
    return [
      `${registry.name}.azurecr.io/${followed.repository}:${wanted} is now ${digest}.`,
      isBad
        ? 'To watch: it is rolled out, it crashes, the image before is put back, and this digest is never tried again.'
        : 'To watch: it is deployed by its digest: one new pod beside those that serve, then the rest.',
    ];
  },
  'stop-database': async ({ operator, name }) => {
    const server = await operator.find(name, 'Microsoft.DBforPostgreSQL/flexibleServers');
    await operator.switchDatabase(server.id, 'stop');
    return [
      `The PostgreSQL server ${server.name} is being stopped. No event tells of that.`,
      "To watch: within some minutes of the clouds' time health names it as the root of what fails. It is left stopped, since",
      'whoever stops a server means to: npm run try -- start-database.',
    ];
  },
  'start-database': async ({ operator, name }) => {
    const server = await operator.find(name, 'Microsoft.DBforPostgreSQL/flexibleServers');
    await operator.switchDatabase(server.id, 'start');
    return [`The PostgreSQL server ${server.name} is being started.`, 'To watch: health clears.'];
  },
};

/** Where there is more to see of it than in the list of events; that is where most of them show. */
const where: Readonly<Record<string, string>> = { 'stop-database': 'health', 'start-database': 'health' };

const deploymentSchema = z.object({
  spec: z.object({
    registry: z
      .object({
        images: z
          .object({
            openWebui: z
              .object({
                source: z.string().optional(),
                repository: z.string().default('open-webui'),
                follow: z.object({ tag: z.string().optional() }).optional(),
              })
              .prefault({}),
          })
          .prefault({}),
      })
      .prefault({}),
  }),
});

/** The one that is followed; the next version where a range is. */
async function tagToPush(
  operator: Operator,
  registry: string,
  { repository, tag, isChosen }: Followed,
): Promise<string> {
  const newest = tag ?? (await operator.newestTag(registry, repository));
  if (newest === undefined) throw new Error(`there is no tag in ${repository} yet: name one with --tag`);
  if (!isChosen) return newest;
  const [, before, patch] = /^(v?\d+\.\d+\.)(\d+)$/.exec(newest) ?? [];
  if (before === undefined) throw new Error('the deployment follows a pattern of tags: name one with --tag');
  return `${before}${Number(patch) + 1}`;
}

interface Followed {
  readonly repository: string;
  readonly tag: string | undefined;
  /** By a range or a pattern. */
  readonly isChosen: boolean;
}

/** The repository of Open WebUI, and the one tag that is followed when it is not a range or a pattern. */
function followedTag(deployment: unknown): Followed {
  const { source, repository, follow } = deploymentSchema.parse(deployment).spec.registry.images.openWebui;
  const [, ofSource] = /:(\w[\w.-]*)(?:@.*)?$/.exec(source?.replace(/^.*\//, '') ?? '') ?? [];
  return {
    repository,
    tag: follow ? follow.tag : ofSource,
    isChosen: follow !== undefined && follow.tag === undefined,
  };
}

function endpointsIn(directory: string): Endpoints {
  const file = resolve(directory, 'endpoints.json');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Endpoints;
  } catch {
    throw new Error(`there is no sandbox in ${directory}: start one with npm start`);
  }
}

/** Exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      bad: { type: 'boolean', default: false },
      tag: { type: 'string' },
      name: { type: 'string', default: 'open-webui' },
      directory: { type: 'string', default: join(import.meta.dirname, '..', '.sandbox') },
    },
  });
  const [what = '', ...others] = positionals;
  const errand = Object.hasOwn(errands, what) ? errands[what] : undefined;
  const isForOther = what !== 'push-image' && (values.bad || values.tag !== undefined);
  if (!errand || others.length > 0 || isForOther) {
    console.error(usage);
    return 1;
  }
  const endpoints = endpointsIn(values.directory);
  const client = new CloudClient(endpoints);
  try {
    const said = await errand({
      operator: new Operator(client),
      controlPlane: new ControlPlane(endpoints),
      name: values.name,
      tag: values.tag,
      isBad: values.bad,
    });
    console.log(said.join('\n'));
    console.log(
      `The terminal of npm start shows it; so does ${endpoints.functions}/api/deployments/${values.name}/${where[what] ?? 'events'}.`,
    );
    return 0;
  } finally {
    client.close();
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
    console.error(
      `${error instanceof Error ? error.message : String(error)}${cause === '' ? '' : ` (${cause})`}`,
    );
    process.exitCode = 1;
  }
}
