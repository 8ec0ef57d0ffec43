/**
 * Reads of many resources from few calls. A sweep of a hundred deployments asks for a hundred vaults, and one list has
 * them all: inside `fromSnapshot` a GET of one resource is answered from a list of its type in the subscription, asked
 * for once and shared by whoever comes meanwhile. A list never proves absence: what is not in it is asked for itself.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ClientOptions } from '@azure-rest/core-client';

type PipelinePolicy = NonNullable<ClientOptions['additionalPolicies']>[number]['policy'];
type Request = Parameters<PipelinePolicy['sendRequest']>[0];
type Next = Parameters<PipelinePolicy['sendRequest']>[1];
type Response = Awaited<ReturnType<Next>>;

/**
 * Types whose list in a subscription has whole resources: their REST specifications give the items of the list and the
 * answer to GET one definition, https://github.com/Azure/azure-rest-api-specs. Clusters are not here: their list leaves
 * out what GET tells, https://github.com/Azure/AKS/issues/5224. Nor are child resources: each parent has its own list.
 */
const LISTED_WHOLE: ReadonlySet<string> = new Set([
  'microsoft.containerregistry/registries',
  'microsoft.dbforpostgresql/flexibleservers',
  'microsoft.keyvault/vaults',
  'microsoft.managedidentity/userassignedidentities',
  'microsoft.network/privatednszones',
  'microsoft.network/privateendpoints',
  'microsoft.network/virtualnetworks',
  'microsoft.storage/storageaccounts',
]);

/** A list longer than this is not worth reading to its end for one resource. */
const MOST_PAGES = 20;

interface Source {
  readonly subscription: string;
  /** What is asked for once and shared: a list, or the answer itself where there is no list that would do. */
  readonly url: string;
  /** What to find in the list: the resource's id in lower case. */
  readonly id?: string;
}

/** Bodies by id in lower case; that of an answer which is no list by ''. Empty when nothing usable came. */
interface Contents {
  readonly headers?: Response['headers'];
  readonly bodies: ReadonlyMap<string, string>;
}

interface Taken {
  /** When it was asked for: nothing in it is older. */
  readonly at: number;
  readonly contents: Promise<Contents>;
}

const agreements = new AsyncLocalStorage<{ readonly maxAgeMilliseconds: number }>();

/** Runs work whose reads may be as old as that. Whoever is about to write looks again outside of it. */
export const fromSnapshot = <T>(maxAgeMilliseconds: number, work: () => Promise<T>): Promise<T> =>
  agreements.run({ maxAgeMilliseconds }, work);

export class ArmSnapshot {
  /**
   * For the pipeline of every client of ARM, `perRetry`: then what is answered from here still passes through what reads
   * bodies, and the list is asked for with the signed headers of whoever comes first.
   */
  readonly policy: PipelinePolicy;
  readonly #now: () => number;
  /** By subscription in lower case, then by URL. */
  readonly #taken = new Map<string, Map<string, Taken>>();

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
    this.policy = {
      name: 'armSnapshot',
      sendRequest: (request, next) =>
        isRead(request) ? this.#read(request, next) : this.#write(request, next),
    };
  }

  async #read(request: Request, next: Next): Promise<Response> {
    const agreement = agreements.getStore();
    const source = agreement && request.method === 'GET' ? sourceOf(request.url) : undefined;
    if (!agreement || !source) return next(request);
    const { headers, bodies } = await this.#take(source, agreement.maxAgeMilliseconds, request, next);
    const body = bodies.get(source.id ?? '');
    return body === undefined || !headers
      ? next(request)
      : { request, status: 200, headers, bodyAsText: body };
  }

  #take(source: Source, maxAgeMilliseconds: number, request: Request, next: Next): Promise<Contents> {
    const ofSubscription = this.#taken.get(source.subscription) ?? new Map<string, Taken>();
    this.#taken.set(source.subscription, ofSubscription);
    const now = this.#now();
    for (const [url, { at }] of ofSubscription) {
      if (now - at > maxAgeMilliseconds) ofSubscription.delete(url);
    }
    const known = ofSubscription.get(source.url);
    if (known) return known.contents;
    // The caller who comes first may go away; the others still want the answer.
    const { abortSignal: _, ...kept } = request;
    const ask = (url: string): Promise<Response> => next({ ...kept, url });
    const contents = (source.id === undefined ? readOne(ask, source.url) : readList(ask, source.url)).catch(
      // Whoever wanted to know asks for the resource itself, and hears what is wrong.
      (): Contents => ({ bodies: new Map() }),
    );
    ofSubscription.set(source.url, { at: now, contents });
    return contents;
  }

  /** What is asked for while a write is under way may be from before it, hence both times. */
  async #write(request: Request, next: Next): Promise<Response> {
    const subscription = subscriptionOf(new URL(request.url).pathname);
    this.#taken.delete(subscription);
    try {
      return await next(request);
    } finally {
      this.#taken.delete(subscription);
    }
  }
}

async function readOne(ask: (url: string) => Promise<Response>, url: string): Promise<Contents> {
  const { status, headers, bodyAsText } = await ask(url);
  return { headers, bodies: new Map(status === 200 && bodyAsText ? [['', bodyAsText]] : []) };
}

async function readList(ask: (url: string) => Promise<Response>, first: string): Promise<Contents> {
  const bodies = new Map<string, string>();
  let headers: Response['headers'] | undefined;
  let url: string | undefined = first;
  for (let page = 0; url !== undefined && page < MOST_PAGES; page += 1) {
    const answer = await ask(url);
    if (answer.status !== 200) break;
    headers ??= answer.headers;
    const { value, nextLink }: { value?: unknown; nextLink?: unknown } = JSON.parse(
      answer.bodyAsText ?? '{}',
    );
    for (const item of Array.isArray(value) ? value : []) {
      if (typeof item?.id === 'string') bodies.set(item.id.toLowerCase(), JSON.stringify(item));
    }
    // The token goes to nobody else.
    const follows = typeof nextLink === 'string' && new URL(nextLink).origin === new URL(first).origin;
    url = follows ? nextLink : undefined;
  }
  return { ...(headers ? { headers } : {}), bodies };
}

/** Where the answer to this GET may come from; undefined when it is to be asked for as it is. */
function sourceOf(requested: string): Source | undefined {
  const url = new URL(requested);
  const version = url.searchParams.get('api-version');
  if (version === null || url.searchParams.size !== 1) return undefined;
  const subscription = subscriptionOf(url.pathname);
  const scope = `${url.origin}/subscriptions/${subscription}`;
  const id = decodeURIComponent(url.pathname).toLowerCase();
  const [, resource, type = ''] =
    /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+(\/providers\/([^/]+\/[^/]+)\/[^/]+)?$/.exec(id) ?? [];
  if (resource !== undefined) {
    return LISTED_WHOLE.has(type)
      ? { subscription, url: `${scope}/providers/${type}?api-version=${version}`, id }
      : { subscription, url: requested };
  }
  if (/^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+$/.test(id)) {
    return { subscription, url: `${scope}/resourcegroups?api-version=${version}`, id };
  }
  // Which providers are registered, and what they have in a region, is the same for all deployments of the subscription.
  const isForAll = /^\/subscriptions\/[^/]+\/providers(\/[^/]+(\/locations\/[^/]+\/[^/]+)?)?$/.test(id);
  return isForAll ? { subscription, url: requested } : undefined;
}

/** Some clients put two slashes before an id. */
const subscriptionOf = (path: string): string =>
  /^\/+subscriptions\/([^/]+)/i.exec(path)?.[1]?.toLowerCase() ?? '';

/** `listKeys` and its like are POSTs that change nothing. */
const isRead = ({ method, url }: Request): boolean =>
  method === 'GET' ||
  method === 'HEAD' ||
  (method === 'POST' && /\/(list|check)\w*$/i.test(new URL(url).pathname));
