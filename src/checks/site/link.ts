/** What the links of the chain have in common: what they look with, what a broken one tells, whom they ask. */
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import type { SiteAnswer } from '../../clients/site.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import type { CheckScope } from '../check.ts';
import type { Asked } from '../kubernetes/ask-service.ts';

export interface Break {
  readonly id: string;
  readonly resource: ResourceKey;
  readonly what: string;
  readonly said: string;
  readonly remedy: string;
  /** Users cannot chat, when nothing else is said. */
  readonly breaks?: string;
  /** Where the control plane can put it right. */
  readonly repair?: string;
}

export interface Walk {
  readonly scope: CheckScope;
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly site: Promise<SiteAnswer>;
}

export interface Link {
  /** As it is called among those that answered. */
  readonly name: string;
  isWanted?(scope: CheckScope): boolean;
  look(walk: Walk): Promise<Break | undefined>;
}

export const WEBUI = { name: 'open-webui', port: 80 } as const;

const isSuccess = (status: number): boolean => status >= 200 && status < 400;

/** What is wrong with the answer to a path of Open WebUI that ought to be a success. */
export function silenceIn(answer: Asked, path: string): string | undefined {
  if (!answer.isAnswered) return answer.said;
  return isSuccess(answer.status) ? undefined : `${path} answers HTTP ${answer.status}`;
}
