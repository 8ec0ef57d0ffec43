/** For the few routes that ask the clouds while the caller waits: they only look. */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { Clients } from '../clients/clients.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import { fatal } from '../graph/failure.ts';
import { type Names, namesOf } from '../naming.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { DeploymentRecord } from '../store/store.ts';
import { outdatedSpec } from './on-deployment.ts';
import { refuse } from './problem.ts';
import type { CloudDependencies } from './respond.ts';

export interface LiveStack {
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly clients: Clients;
}

/** Throws a fatal FailureError when today's rules refuse the stored spec. */
export function liveStack(
  { clientsFor }: Pick<CloudDependencies, 'clientsFor'>,
  { name, spec }: Pick<DeploymentRecord, 'name' | 'spec'>,
): LiveStack {
  const parsed = parseSpec(name, spec);
  if (!parsed.ok) throw fatal('InvalidSpec', 'the stored spec is no longer valid');
  return {
    spec: parsed.spec,
    names: namesOf(name, parsed.spec),
    clients: clientsFor(parsed.spec.subscriptionId),
  };
}

/** What a cloud refuses or does not answer is told as that, and is no error of ours. */
export async function atCloud(
  request: HttpRequest,
  context: InvocationContext,
  ask: () => Promise<HttpResponseInit>,
): Promise<HttpResponseInit> {
  try {
    return await ask();
  } catch (error) {
    const { code, message } = toFailure(error);
    if (code === 'UnexpectedError') throw error;
    if (code === 'InvalidSpec') return refuse(request, context, 'invalid-spec', outdatedSpec);
    return refuse(request, context, 'not-answered', { detail: `${code}: ${message}` });
  }
}
