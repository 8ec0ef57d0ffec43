/**
 * Proves that a new connection string logs in before anybody is handed it: a pod of the image that serves now connects
 * with it, from where Open WebUI connects, and ends. While there is nothing to break (no Open WebUI yet, or it has this
 * very version already) there is nothing to prove, and nothing of an earlier proof is left lying about. A string that
 * does not log in stops here: nothing that needs it moves, and the pods that run keep the one they have.
 */
import type { KubernetesApi, KubernetesObject, ObjectReference } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { fatal } from '../../graph/failure.ts';
import type { DependencyOutputs, Difference, Observed } from '../../graph/resource.ts';
import { postgresConnectionString } from '../azure/postgres-connection-string.ts';
import { PROOF, PROOF_KEY, proofPod } from '../kinds/database-login-pod.ts';
import {
  arrivalOf,
  pinnedSecret,
  pinOf,
  pinsOf,
  type SecretKeys,
  unsynced,
} from '../kinds/external-secret.ts';
import {
  connect,
  describe,
  differencesOf,
  findServed,
  foreignReason,
  isOurs,
  manifestOf,
} from '../kinds/kubernetes-object.ts';
import { endOf, isFor } from '../kinds/one-shot-pod.ts';
import { podOf, troubleOf } from '../kinds/pods.ts';
import { goodImageOf } from '../kinds/rollout.ts';
import { imageOf } from '../kinds/workload.ts';
import { defineResource, type Scope } from '../scope.ts';
import { addons } from './addons.ts';
import { namespace } from './namespace.ts';
import { networkPolicy } from './network-policy.ts';
import { secretStore } from './secret-store.ts';

/** The Secret of Open WebUI, and the ExternalSecret that makes it. */
export const WEBUI_SECRET = 'open-webui-secrets';

const dependsOn = { namespace, addons, secretStore, networkPolicy, postgresConnectionString } as const;
type Deps = DependencyOutputs<typeof dependsOn>;
type LoginOutputs = {
  /** Of the connection string that may be handed out; null while there is nobody whom a bad one could harm. */
  readonly provenVersion: string | null;
};

export const databaseLogin = defineResource<typeof dependsOn, LoginOutputs>({
  key: 'kubernetes/database-login',
  title: 'Database login',
  dependsOn,
  // Pulling the image to another node and three attempts; what takes longer will not work.
  patienceSeconds: 900,

  async observe(scope, deps): Promise<Observed<LoginOutputs>> {
    const api = await connect(scope);
    if (!api) return { state: 'absent' };
    const seen = await look(scope, api, deps);
    const { proof, wantsProof } = seen;
    const stranger = proof.find((object) => !isOurs(object, scope));
    if (stranger) return { state: 'foreign', reason: foreignReason(stranger) };
    const leaving = proof.find(({ metadata }) => metadata.deletionTimestamp !== undefined);
    if (leaving)
      return { state: 'changing', reason: `${describe(leaving)} is being deleted`, retryAfterSeconds: 2 };
    const { version } = deps.postgresConnectionString.secret;
    if (!wantsProof) {
      const outputs = { provenVersion: seen.isHandedOut ? version : null };
      const differences = proof.map((object) => leftover(object, 'leftover of an earlier proof'));
      return differences.length > 0
        ? { state: 'drifted', outputs, differences }
        : { state: 'ready', outputs };
    }
    return observeProof(scope, api, deps, seen);
  },

  async ensure(scope, deps) {
    const api = await connect(scope);
    if (!api) throw new KubernetesError(404, 'ClusterNotFound', 'the cluster does not exist');
    const { wantsProof, externalSecret, pod, image } = await look(scope, api, deps);
    if (!wantsProof) {
      await removeProof(scope, deps.addons.externalSecretsApi);
      return;
    }
    const reference = deps.postgresConnectionString.secret;
    if (pod && isFor(pod, reference.version)) {
      const { phase, message, isRecent } = endOf(pod, scope.now);
      if (phase !== 'Failed') return;
      if (isRecent) throw fatal('DatabaseLoginFailed', failureMessage(reference.version, message));
    }
    if (pod) await api.remove(referenceTo(scope, 'v1', 'Pod'));
    const wanted = proofSecret(scope, deps);
    if (differencesOf(wanted, externalSecret).length > 0) await api.apply(wanted);
    else if (!pod && externalSecret && !(await missing(scope, api, deps, externalSecret))) {
      await api.apply(proofPod(scope, reference.version, image));
    }
  },

  async remove(scope, deps) {
    await removeProof(scope, deps.addons?.externalSecretsApi);
  },
});

interface Seen {
  /** Whether Open WebUI would get another connection string than it has. */
  readonly wantsProof: boolean;
  readonly isHandedOut: boolean;
  readonly externalSecret: KubernetesObject | undefined;
  readonly pod: KubernetesObject | undefined;
  /** All there is of a proof. */
  readonly proof: readonly KubernetesObject[];
  /** What serves now, so that no image is trusted with the string that is not trusted with people. */
  readonly image: string;
}

const referenceTo = ({ names }: Pick<Scope, 'names'>, apiVersion: string, kind: string): ObjectReference => ({
  apiVersion,
  kind,
  name: PROOF,
  namespace: names.namespace,
});

const proofReferences = (
  scope: Pick<Scope, 'names'>,
  externalSecretsApi: string,
): readonly ObjectReference[] => [
  referenceTo(scope, 'v1', 'Pod'),
  referenceTo(scope, externalSecretsApi, 'ExternalSecret'),
  // The operator's, and gone with its ExternalSecret, a moment later.
  referenceTo(scope, 'v1', 'Secret'),
];

async function look(scope: Scope, api: KubernetesApi, deps: Deps): Promise<Seen> {
  const { externalSecretsApi } = deps.addons;
  const { namespace: home } = scope.names;
  const inUse = {
    apiVersion: externalSecretsApi,
    kind: 'ExternalSecret',
    name: WEBUI_SECRET,
    namespace: home,
  };
  const [deployment, current, pod, externalSecret, secret] = await Promise.all([
    api.find({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'open-webui', namespace: home }),
    findServed(api, inUse),
    ...proofReferences(scope, externalSecretsApi).map((reference) => findServed(api, reference)),
  ]);
  const isHandedOut = pinsOf(current).get(PROOF_KEY) === pinOf(deps.postgresConnectionString.secret);
  return {
    wantsProof: deployment !== undefined && !isHandedOut,
    isHandedOut,
    externalSecret,
    pod,
    proof: [pod, externalSecret, secret].filter((object) => object !== undefined),
    image: goodImageOf(deployment) ?? (deployment ? imageOf(deployment) : ''),
  };
}

/** How far the proof of the version that is wished has got. */
async function observeProof(
  scope: Scope,
  api: KubernetesApi,
  deps: Deps,
  { externalSecret, pod, proof }: Seen,
): Promise<Observed<LoginOutputs>> {
  if (proof.length === 0) return { state: 'absent' };
  const { version } = deps.postgresConnectionString.secret;
  const outputs = { provenVersion: null };
  if (pod && !isFor(pod, version)) {
    return { state: 'drifted', outputs, differences: [leftover(pod, 'the proof of another version')] };
  }
  if (pod) {
    const { phase, message } = endOf(pod, scope.now);
    if (phase === 'Succeeded') return { state: 'ready', outputs: { provenVersion: version } };
    if (phase === 'Failed') {
      return { state: 'failed', code: 'DatabaseLoginFailed', message: failureMessage(version, message) };
    }
    const reason = troubleOf(podOf(pod)) ?? 'a pod is trying whether the new connection string logs in';
    return { state: 'changing', reason, retryAfterSeconds: 2 };
  }
  const differences = differencesOf(proofSecret(scope, deps), externalSecret);
  if (differences.length > 0 || !externalSecret) return { state: 'drifted', outputs, differences };
  const reason = await missing(scope, api, deps, externalSecret);
  if (reason) return { state: 'changing', reason, retryAfterSeconds: 1 };
  const podDifference = { path: `Pod ${PROOF}`, wanted: 'present', found: null };
  return { state: 'drifted', outputs, differences: [podDifference] };
}

const leftover = (object: KubernetesObject, found: string): Difference => ({
  path: describe(object),
  wanted: null,
  found,
});

/** Why the Secret of the proof does not hold the version yet. */
async function missing(
  scope: Scope,
  api: KubernetesApi,
  deps: Deps,
  externalSecret: KubernetesObject,
): Promise<string | undefined> {
  const reason = unsynced(externalSecret);
  if (reason) return reason;
  const arrival = await arrivalOf(scope, api, PROOF, keysOf(deps));
  return 'missing' in arrival ? arrival.missing : undefined;
}

const keysOf = (deps: Deps): SecretKeys => ({ [PROOF_KEY]: deps.postgresConnectionString.secret });

const proofSecret = (scope: Scope, deps: Deps): KubernetesObject =>
  manifestOf(
    {
      apiVersion: deps.addons.externalSecretsApi,
      kind: 'ExternalSecret',
      name: PROOF,
      body: () => pinnedSecret(scope, PROOF, keysOf(deps)),
    },
    scope,
    {},
  );

const failureMessage = (version: string, message: string): string =>
  `the connection string in the vault (version ${version}) does not log in to the database (${message}): it is not handed out, and the running pods keep the one they have`;

/** Removes what is ours of a proof; not there is success. */
export async function removeProof(scope: Scope, externalSecretsApi: string | undefined): Promise<void> {
  const api = await connect(scope);
  if (!api) return;
  for (const reference of proofReferences(scope, externalSecretsApi ?? 'external-secrets.io/v1')) {
    const found = await findServed(api, reference);
    if (found && !found.metadata.deletionTimestamp && isOurs(found, scope)) await api.remove(reference);
  }
}
