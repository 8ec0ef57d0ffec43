/** The pod that tries a connection string. It says nothing that could be part of the string. */
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Scope } from '../scope.ts';
import { oneShotPod } from './one-shot-pod.ts';

/** The name of the pod, and of the ExternalSecret and the Secret that it reads. */
export const PROOF = 'open-webui-database-login';
export const PROOF_KEY = 'DATABASE_URL';

/**
 * psycopg2 has no SQLSTATE for a login that was refused (https://github.com/psycopg/psycopg/issues/1188) and repeats
 * parts of a malformed URL in its message, so only words of this list are ever printed. A server that cannot be reached
 * is tried again, as the network may still be learning of the pod.
 */
const SCRIPT = `import os, sys, time
import psycopg2
known = ("password authentication failed", "no pg_hba.conf entry", "does not exist", "is not permitted to log in", "too many clients", "remaining connection slots", "starting up", "shutting down", "could not translate host name", "timeout expired", "Connection timed out", "Connection refused", "Network is unreachable", "SSL", "invalid")
final = known[:4]
for attempt in range(3):
    try:
        with psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
            connection.cursor().execute("SELECT 1")
        sys.exit(0)
    except psycopg2.Error as error:
        text = str(error)
        print(next((words for words in known if words in text), type(error).__name__), flush=True)
        if any(words in text for words in final):
            break
    time.sleep(5)
sys.exit(1)
`;

/** `version`: of the connection string. */
export const proofPod = (
  scope: Pick<Scope, 'spec' | 'names'>,
  version: string,
  image: string,
): KubernetesObject =>
  oneShotPod(scope, {
    name: PROOF,
    proves: version,
    image,
    script: SCRIPT,
    container: { env: [{ name: PROOF_KEY, valueFrom: { secretKeyRef: { name: PROOF, key: PROOF_KEY } } }] },
  });
