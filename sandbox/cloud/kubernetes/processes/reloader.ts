/**
 * Stakater Reloader: rolls a workload when the data of a Secret or ConfigMap it uses has changed, if annotations on the
 * workload itself ask for it (github.com/stakater/Reloader README). By default it writes an environment variable; with
 * `--reload-strategy=annotations` an annotation of the pod template.
 */
import { createHash } from 'node:crypto';
import { CONFIG_MAPS, DEPLOYMENTS, type Kind, SECRETS } from '../api/kinds.ts';
import { START } from '../durations.ts';
import type { ConfigMap, Deployment, KubeObject, PodSpec, Secret } from '../object.ts';
import type { Process, ProcessContext } from './process.ts';

type Source = 'SECRET' | 'CONFIGMAP';

const MANAGER = 'reloader';

export function startReloader(context: ProcessContext): Process {
  return new Reloader(context);
}

class Reloader implements Process {
  readonly #context: ProcessContext;
  readonly #seen = new Map<string, string>();
  readonly #usesAnnotations: boolean;
  readonly #reloadsAll: boolean;
  #isUp = false;

  constructor(context: ProcessContext) {
    this.#context = context;
    const words = [...(context.container.command ?? []), ...(context.container.args ?? [])].join(' ');
    this.#usesAnnotations = /--reload-strategy[= ]annotations/.test(words);
    this.#reloadsAll = /--auto-reload-all(=true|\b(?!=))/.test(words);
    context.after(context.isResumed ? 0 : START.reloader, () => {
      this.#isUp = true;
      this.#take();
      context.log('time="" level=info msg="Starting Reloader"');
      context.changed();
    });
  }

  status(port: number): number | undefined {
    return this.listens(port) ? 200 : undefined;
  }

  listens(port: number): boolean {
    return this.#isUp && port === 9090;
  }

  lookAgain(where: 'world' | 'cluster'): void {
    if (!this.#isUp || where !== 'cluster') return;
    for (const { source, object, hash } of this.#take()) this.#reload(source, object, hash);
  }

  stop(): void {
    this.#isUp = false;
  }

  /** Takes note of all Secrets and ConfigMaps; the answer is those whose data is not what it was. */
  #take(): { readonly source: Source; readonly object: KubeObject; readonly hash: string }[] {
    const changed: { source: Source; object: KubeObject; hash: string }[] = [];
    const look = (kind: Kind, source: Source): void => {
      for (const object of this.#context.api.list<Secret & ConfigMap>(kind)) {
        const hash = createHash('sha1')
          .update(JSON.stringify([object.data ?? {}, object.binaryData ?? {}]))
          .digest('hex');
        const before = this.#seen.get(object.metadata.uid);
        if (before !== undefined && before !== hash) changed.push({ source, object, hash });
        this.#seen.set(object.metadata.uid, hash);
      }
    };
    look(SECRETS, 'SECRET');
    look(CONFIG_MAPS, 'CONFIGMAP');
    return changed;
  }

  #reload(source: Source, object: KubeObject, hash: string): void {
    const { api } = this.#context;
    if (object.metadata.annotations?.['reloader.stakater.com/ignore'] === 'true') return;
    for (const deployment of api.list<Deployment>(DEPLOYMENTS, object.metadata.namespace)) {
      if (!this.#isAsked(deployment, source, object)) continue;
      this.#context.log(
        `time="" level=info msg="Changes detected in '${object.metadata.name}' of type '${source}' in namespace '${object.metadata.namespace}'; updated '${deployment.metadata.name}' of type 'Deployment'"`,
      );
      this.#roll(deployment, source, object, hash);
    }
  }

  #isAsked(deployment: Deployment, source: Source, object: KubeObject): boolean {
    const annotations = deployment.metadata.annotations ?? {};
    const kind = source === 'SECRET' ? 'secret' : 'configmap';
    const { name } = object.metadata;
    const listed = (annotations[`${kind}.reloader.stakater.com/reload`] ?? '')
      .split(',')
      .map((entry) => entry.trim());
    if (listed.includes(name)) return true;
    if (!uses(deployment.spec.template.spec, source, name)) return false;
    if (annotations['reloader.stakater.com/auto'] === 'false') return false;
    if (annotations['reloader.stakater.com/auto'] === 'true') return true;
    if (annotations[`${kind}.reloader.stakater.com/auto`] === 'true') return true;
    if (annotations['reloader.stakater.com/search'] === 'true') {
      return object.metadata.annotations?.['reloader.stakater.com/match'] === 'true';
    }
    return this.#reloadsAll;
  }

  #roll(deployment: Deployment, source: Source, object: KubeObject, hash: string): void {
    const { api, clock } = this.#context;
    api.change(
      DEPLOYMENTS,
      deployment,
      (draft) => {
        const { template } = draft.spec;
        if (this.#usesAnnotations) {
          template.metadata = {
            ...template.metadata,
            annotations: {
              ...template.metadata?.annotations,
              'reloader.stakater.com/last-reloaded-from': JSON.stringify({
                type: source,
                name: object.metadata.name,
                namespace: object.metadata.namespace,
                hash,
                containerRefs: template.spec?.containers.map(({ name }) => name) ?? [],
                observedAt: Math.floor(clock.now() / 1000),
              }),
            },
          };
          return;
        }
        const containers = template.spec?.containers ?? [];
        const container =
          containers.find((one) => usesInContainer(one, source, object.metadata.name)) ?? containers[0];
        if (!container) return;
        const name = `STAKATER_${object.metadata.name.replace(/[^A-Za-z0-9]/g, '_').toUpperCase()}_${source}`;
        container.env = [
          ...(container.env ?? []).filter((entry) => entry.name !== name),
          { name, value: hash },
        ];
      },
      { manager: MANAGER },
    );
  }
}

/** Whether a pod takes anything from a Secret or ConfigMap, by environment or volume. */
export function uses(spec: PodSpec | undefined, source: Source, name: string): boolean {
  const inVolumes = (spec?.volumes ?? []).some((volume) =>
    source === 'SECRET' ? volume.secret?.secretName === name : volume.configMap?.name === name,
  );
  return (
    inVolumes ||
    [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some((container) =>
      usesInContainer(container, source, name),
    )
  );
}

function usesInContainer(container: PodSpec['containers'][number], source: Source, name: string): boolean {
  const inEnv = (container.env ?? []).some(({ valueFrom }) =>
    source === 'SECRET' ? valueFrom?.secretKeyRef?.name === name : valueFrom?.configMapKeyRef?.name === name,
  );
  const inEnvFrom = (container.envFrom ?? []).some(({ secretRef, configMapRef }) =>
    source === 'SECRET' ? secretRef?.name === name : configMapRef?.name === name,
  );
  return inEnv || inEnvFrom;
}
