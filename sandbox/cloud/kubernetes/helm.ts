/**
 * Helm in the command pod: repositories, install, upgrade, list, uninstall. Charts are those of helm-charts.ts; a release
 * is recorded as Helm does it, in a Secret of type helm.sh/release.v1 in the release's namespace. One program with its
 * flags, kept in one piece.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import type { VirtualClock } from '../../clock.ts';
import { DEPLOYMENTS, NAMESPACES, SECRETS } from './api/kinds.ts';
import { alignColumns } from './api/table.ts';
import type { KubernetesCluster } from './cluster.ts';
import { HELM_COMMAND, HELM_WAIT_STEP } from './durations.ts';
import { type Chart, findChart, REPOSITORIES, type Values } from './helm-charts.ts';
import { at, type Deployment, isFields, type KubeObject, type Secret } from './object.ts';
import { parseDuration } from './processes/external-secrets.ts';
import { parseFlags } from './program-flags.ts';
import type { CommandResult } from './run-command.ts';

interface Release {
  readonly name: string;
  readonly namespace: string;
  readonly version: number;
  readonly status: string;
  readonly chart: string;
  readonly appVersion: string;
  readonly updated: string;
  /** What was made, to be found again on upgrade and uninstall. */
  readonly objects: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
  }[];
}

const RELEASE_TYPE = 'helm.sh/release.v1';
const SWITCHES = [
  'install',
  'create-namespace',
  'wait',
  'wait-for-jobs',
  'atomic',
  'force',
  'force-update',
  'reset-values',
  'reuse-values',
  'A',
  'all-namespaces',
  'debug',
  'devel',
  'i',
  'no-hooks',
  'skip-crds',
  'cleanup-on-fail',
  'rollback-on-failure',
  'short',
  'a',
  'all',
];

const failed = (text: string): CommandResult => ({ exitCode: 1, logs: `Error: ${text}\n` });

export class Helm {
  readonly #cluster: KubernetesCluster;
  readonly #clock: VirtualClock;
  /** The command pod is new each time, and so is its list of repositories. */
  readonly #repositories = new Map<string, string>();

  constructor(cluster: KubernetesCluster, clock: VirtualClock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  async run(words: readonly string[]): Promise<CommandResult> {
    const { positional, flags } = parseFlags(words, SWITCHES);
    const [verb = '', ...rest] = positional;
    const flag = (...names: string[]): string | undefined =>
      names.map((name) => flags.get(name)?.at(-1)).find((value) => value !== undefined);
    switch (verb) {
      case 'version':
        return { exitCode: 0, logs: 'version.BuildInfo{Version:"v3.19.0", GoVersion:"go1.24.7"}\n' };
      case 'repo':
        return this.#repository(rest);
      case 'install':
      case 'upgrade': {
        const mayInstall = verb === 'install' || flag('install', 'i') === 'true';
        return this.#apply(rest, verb, mayInstall, flag, flags);
      }
      case 'list':
      case 'ls':
        return this.#list(
          flag('A', 'all-namespaces') === 'true' ? undefined : (flag('n', 'namespace') ?? 'default'),
          flag('o', 'output'),
        );
      case 'status': {
        const release = this.#find(flag('n', 'namespace') ?? 'default', rest[0] ?? '');
        return release ? { exitCode: 0, logs: printRelease(release) } : failed('release: not found');
      }
      case 'uninstall':
      case 'delete':
        return this.#uninstall(flag('n', 'namespace') ?? 'default', rest);
      default:
        return { exitCode: 127, logs: `Error: the sandbox's command pod does not know "helm ${verb}"\n` };
    }
  }

  async #repository([what, name = '', url = '']: readonly string[]): Promise<CommandResult> {
    await this.#clock.wait(HELM_COMMAND);
    if (what === 'add') {
      if (!Object.values<string>(REPOSITORIES).includes(url.replace(/\/$/, ''))) {
        return failed(`looks like "${url}" is not a valid chart repository or cannot be reached`);
      }
      this.#repositories.set(name, url.replace(/\/$/, ''));
      return { exitCode: 0, logs: `"${name}" has been added to your repositories\n` };
    }
    if (what === 'update') {
      if (this.#repositories.size === 0)
        return failed('no repositories found. You must add one before updating');
      return { exitCode: 0, logs: 'Update Complete. ⎈Happy Helming!⎈\n' };
    }
    return failed(`unknown command "${what ?? ''}" for "helm repo"`);
  }

  async #apply(
    [name = '', reference = '']: readonly string[],
    verb: string,
    mayInstall: boolean,
    flag: (...names: string[]) => string | undefined,
    flags: ReadonlyMap<string, readonly string[]>,
  ): Promise<CommandResult> {
    const chart = this.#resolve(reference, flag('repo'), flag('version'));
    if (typeof chart === 'string') return failed(chart);
    const namespace = flag('n', 'namespace') ?? 'default';
    const known = this.#find(namespace, name);
    if (verb === 'install' && known)
      return failed('INSTALLATION FAILED: cannot re-use a name that is still in use');
    if (!known && !mayInstall) return failed(`UPGRADE FAILED: "${name}" has no deployed releases`);
    const values = valuesOf(flags);
    if (typeof values === 'string') return failed(values);
    await this.#clock.wait(HELM_COMMAND);
    const { api } = this.#cluster;
    if (!api.find(NAMESPACES, '', namespace)) {
      if (flag('create-namespace') !== 'true')
        return failed(`create: failed to create: namespaces "${namespace}" not found`);
      api.create(
        NAMESPACES,
        '',
        { metadata: { name: namespace, labels: { name: namespace } } },
        { manager: 'helm' },
      );
    }
    const objects = chart.render({ release: name, namespace, version: chart.version, values });
    if (typeof objects === 'string') return failed(objects);
    for (const object of objects) this.#put(object as KubeObject);
    this.#removeLeftOver(known, objects as readonly KubeObject[]);
    const release: Release = {
      name,
      namespace,
      version: (known?.version ?? 0) + 1,
      status: 'deployed',
      chart: `${chart.name}-${chart.version}`,
      appVersion: chart.appVersion,
      updated: new Date(this.#clock.now()).toISOString(),
      objects: (objects as readonly KubeObject[]).map(({ apiVersion, kind, metadata }) => ({
        apiVersion,
        kind,
        namespace: metadata.namespace ?? '',
        name: metadata.name,
      })),
    };
    this.#record(release);
    const mustWait = ['wait', 'atomic', 'rollback-on-failure'].some((option) => flag(option) === 'true');
    if (mustWait && !(await this.#becomesAvailable(release, parseDuration(flag('timeout') ?? '5m')))) {
      this.#record({ ...release, status: 'failed' });
      if (flag('atomic') === 'true' && !known) this.#remove(release);
      return failed(
        `${verb === 'install' || !known ? 'INSTALLATION' : 'UPGRADE'} FAILED: context deadline exceeded`,
      );
    }
    const heading = known
      ? `Release "${name}" has been upgraded. Happy Helming!\n`
      : verb === 'upgrade'
        ? `Release "${name}" does not exist. Installing it now.\n`
        : '';
    return { exitCode: 0, logs: heading + printRelease(release) };
  }

  /** The chart a reference means, or Helm's complaint. */
  #resolve(
    reference: string,
    repository: string | undefined,
    version: string | undefined,
  ): (Chart & { readonly version: string; readonly appVersion: string }) | string {
    if (reference === '') return '"helm upgrade" requires 2 arguments';
    if (reference.startsWith('oci://')) return findChart(reference, version);
    const [alias = '', name] = reference.split('/');
    const url = name === undefined ? repository?.replace(/\/$/, '') : this.#repositories.get(alias);
    if (url === undefined)
      return name === undefined
        ? `non-absolute URLs should be in form of repo_name/path_to_chart, got: ${reference}`
        : `repo ${alias} not found`;
    return findChart(`${url}/${name ?? alias}`, version);
  }

  #kindOf(object: Pick<KubeObject, 'apiVersion' | 'kind'>) {
    return this.#cluster.api
      .kinds()
      .find(
        (kind) =>
          (kind.group === '' ? kind.version : `${kind.group}/${kind.version}`) === object.apiVersion &&
          kind.kind === object.kind,
      );
  }

  #put(object: KubeObject): void {
    const kind = this.#kindOf(object);
    if (!kind) return;
    this.#cluster.api.patch(kind, object.metadata.namespace ?? '', object.metadata.name, object, {
      type: 'apply',
      manager: 'helm',
      force: true,
    });
  }

  #removeLeftOver(known: Release | undefined, objects: readonly KubeObject[]): void {
    for (const old of known?.objects ?? []) {
      const isKept = objects.some(
        ({ kind, metadata }) =>
          kind === old.kind && metadata.name === old.name && (metadata.namespace ?? '') === old.namespace,
      );
      if (!isKept) this.#delete(old);
    }
  }

  #delete(old: Release['objects'][number]): void {
    const kind = this.#kindOf(old);
    const { api } = this.#cluster;
    if (kind && api.find(kind, old.namespace, old.name))
      api.delete(kind, old.namespace, old.name, { propagationPolicy: 'Background' });
  }

  async #becomesAvailable(release: Release, milliseconds: number): Promise<boolean> {
    const until = this.#clock.now() + milliseconds;
    const isAvailable = (): boolean =>
      release.objects
        .filter(({ kind }) => kind === 'Deployment')
        .every(({ namespace, name }) => {
          const one = this.#cluster.api.find<Deployment>(DEPLOYMENTS, namespace, name);
          return (
            one !== undefined &&
            (one.status?.observedGeneration ?? 0) >= (one.metadata.generation ?? 0) &&
            (one.status?.updatedReplicas ?? 0) >= (one.spec.replicas ?? 1) &&
            (one.status?.availableReplicas ?? 0) >= (one.spec.replicas ?? 1)
          );
        });
    while (!isAvailable()) {
      if (this.#clock.now() >= until) return false;
      await this.#clock.wait(HELM_WAIT_STEP);
    }
    return true;
  }

  #record(release: Release): void {
    const { api } = this.#cluster;
    const name = `sh.helm.release.v1.${release.name}.v${release.version}`;
    // Helm's own encoding: base64 of gzip, in a field that is base64 again.
    const packed = Buffer.from(gzipSync(JSON.stringify(release)).toString('base64')).toString('base64');
    const labels = {
      name: release.name,
      owner: 'helm',
      status: release.status,
      version: String(release.version),
    };
    const known = api.find<Secret>(SECRETS, release.namespace, name);
    if (known) {
      api.change(SECRETS, known, (draft) => {
        draft.metadata.labels = labels;
        draft.data = { release: packed };
      });
    } else {
      api.create(
        SECRETS,
        release.namespace,
        { metadata: { name, labels }, type: RELEASE_TYPE, data: { release: packed } },
        { manager: 'helm' },
      );
    }
    for (const old of this.#recordsOf(release.namespace, release.name)) {
      if (old.metadata.name === name || old.metadata.labels?.['status'] !== 'deployed') continue;
      api.change(SECRETS, old, (draft) => {
        draft.metadata.labels = { ...draft.metadata.labels, status: 'superseded' };
      });
    }
  }

  #recordsOf(namespace: string | undefined, name?: string): Secret[] {
    return this.#cluster.api
      .list<Secret>(SECRETS, namespace)
      .filter(
        (secret) =>
          secret.type === RELEASE_TYPE && (name === undefined || secret.metadata.labels?.['name'] === name),
      );
  }

  #releases(namespace: string | undefined): Release[] {
    return this.#recordsOf(namespace)
      .filter(({ metadata }) => metadata.labels?.['status'] !== 'superseded')
      .flatMap(({ data }) => {
        const text = Buffer.from(data?.['release'] ?? '', 'base64').toString();
        const parsed: unknown = JSON.parse(gunzipSync(Buffer.from(text, 'base64')).toString());
        return isFields(parsed) ? [parsed as unknown as Release] : [];
      });
  }

  #find(namespace: string, name: string): Release | undefined {
    return this.#releases(namespace).find((release) => release.name === name);
  }

  #list(namespace: string | undefined, output: string | undefined): CommandResult {
    const rows = this.#releases(namespace).map((release) => ({
      name: release.name,
      namespace: release.namespace,
      revision: String(release.version),
      updated: release.updated.replace('T', ' ').replace('Z', ' +0000 UTC'),
      status: release.status,
      chart: release.chart,
      app_version: release.appVersion,
    }));
    if (output === 'json') return { exitCode: 0, logs: `${JSON.stringify(rows)}\n` };
    const header = ['NAME', 'NAMESPACE', 'REVISION', 'UPDATED', 'STATUS', 'CHART', 'APP VERSION'];
    return { exitCode: 0, logs: alignColumns([header, ...rows.map((row) => Object.values(row))]) };
  }

  async #uninstall(namespace: string, names: readonly string[]): Promise<CommandResult> {
    await this.#clock.wait(HELM_COMMAND);
    let logs = '';
    for (const name of names) {
      const release = this.#find(namespace, name);
      if (!release)
        return {
          exitCode: 1,
          logs: `${logs}Error: uninstall: Release not loaded: ${name}: release: not found\n`,
        };
      this.#remove(release);
      logs += `release "${name}" uninstalled\n`;
    }
    return { exitCode: 0, logs };
  }

  #remove(release: Release): void {
    for (const object of [...release.objects].reverse()) this.#delete(object);
    const { api } = this.#cluster;
    for (const { metadata } of this.#recordsOf(release.namespace, release.name)) {
      api.delete(SECRETS, release.namespace, metadata.name);
    }
  }
}

function printRelease(release: Release): string {
  return `NAME: ${release.name}\nLAST DEPLOYED: ${release.updated}\nNAMESPACE: ${release.namespace}\nSTATUS: ${release.status}\nREVISION: ${release.version}\nTEST SUITE: None\n`;
}

/** `--set a.b=c,d=e`, `--set-string`, `--set-json a.b='[…]'`; the text is Helm's complaint. */
function valuesOf(flags: ReadonlyMap<string, readonly string[]>): Values | string {
  const values: Record<string, unknown> = {};
  if (flags.has('values') || flags.has('f')) return 'the sandbox takes values by --set only';
  for (const name of ['set', 'set-string'] as const) {
    for (const assignment of (flags.get(name) ?? []).flatMap((text) => text.split(/(?<!\\),/))) {
      const index = assignment.indexOf('=');
      if (index < 0) return `failed parsing --${name} data: key ${JSON.stringify(assignment)} has no value`;
      const text = assignment.slice(index + 1).replaceAll('\\,', ',');
      put(values, assignment.slice(0, index), name === 'set' ? typed(text) : text);
    }
  }
  for (const assignment of flags.get('set-json') ?? []) {
    const index = assignment.indexOf('=');
    try {
      put(values, assignment.slice(0, index), JSON.parse(assignment.slice(index + 1)));
    } catch {
      return `failed parsing --set-json data ${assignment.slice(0, Math.max(index, 0))}`;
    }
  }
  return values;
}

function typed(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  return /^-?\d+$/.test(text) ? Number(text) : text;
}

function put(values: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split(/(?<!\\)\./).map((name) => name.replaceAll('\\.', '.'));
  let here = values;
  for (const name of names.slice(0, -1)) {
    const next = at(here, name);
    const inner: Record<string, unknown> = isFields(next) ? next : {};
    here[name] = inner;
    here = inner;
  }
  here[names.at(-1) ?? ''] = value;
}
