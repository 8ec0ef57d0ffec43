/**
 * The chain that a chat goes through, in the order in which a packet would: name, connector, Service, Open WebUI, the
 * site as a whole, database, Ollama. All are asked at once, for together they would be silent for longer than a check may
 * take. The first link that does not answer is the finding, and those that answered before it are its evidence. Links
 * inside the cluster are asked through the API server, and so tell whether it is the tunnel or what is behind it when the
 * site does not answer. That the database is written and that a model speaks are checks of their own.
 */
import type { SiteAnswer } from '../../clients/site.ts';
import { type FailureError, fatal } from '../../graph/failure.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { siteService } from '../../resources/cloudflare/ingress-rules.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { askService } from '../kubernetes/ask-service.ts';
import { clusterOf } from '../kubernetes/cluster.ts';
import { missingModels, modelsIn } from '../kubernetes/models.ts';
import { readyEndpoints, readyPods } from '../kubernetes/services.ts';
import { repairOf } from '../repair.ts';
import { database } from './database-link.ts';
import { type Break, type Link, silenceIn, type Walk, WEBUI } from './link.ts';

const isUnresolved = ({ said }: SiteAnswer): boolean => /ENOTFOUND|EAI_AGAIN|ENODATA/.test(said);

const name: Link = {
  name: 'the name of the site',
  async look({ scope, site: asked }) {
    const site = await asked;
    return isUnresolved(site)
      ? {
          id: 'site-name',
          resource: 'cloudflare/dns-record',
          what: 'The name of the site does not resolve.',
          said: `https://${scope.spec.tunnel.hostName}/: ${site.said}`,
          remedy: `Look at the DNS record of ${scope.spec.tunnel.hostName} at Cloudflare: a proxied CNAME to <tunnel id>.cfargotunnel.com.`,
        }
      : undefined;
  },
};

const connector: Link = {
  name: 'cloudflared',
  look: async ({ api, namespace }) =>
    (await readyPods(api, namespace, 'cloudflared')) > 0
      ? undefined
      : {
          id: 'connector',
          resource: 'kubernetes/cloudflared',
          what: 'The tunnel has no end in the cluster: no pod of cloudflared is ready.',
          said: 'no ready pod of cloudflared',
          remedy: `kubectl get pods -n ${namespace} -l app=cloudflared; kubectl logs -n ${namespace} deployment/cloudflared`,
        },
};

const service: Link = {
  name: 'the Service open-webui',
  async look({ api, namespace }) {
    const found = await api.find({ apiVersion: 'v1', kind: 'Service', namespace, name: WEBUI.name });
    if (found && (await readyEndpoints(api, namespace, WEBUI.name)) > 0) return undefined;
    const hasPods = (await readyPods(api, namespace, WEBUI.name)) > 0;
    const isService = !found || hasPods;
    return {
      id: isService ? 'service' : 'open-webui',
      resource: isService ? 'kubernetes/open-webui-service' : 'kubernetes/open-webui',
      what: isService
        ? 'The Service of Open WebUI delivers to nobody.'
        : 'No pod of Open WebUI is ready to be delivered to.',
      said: found ? 'the Service open-webui has no ready endpoint' : 'there is no Service open-webui',
      remedy: `kubectl get service,endpointslices,pods -n ${namespace} -l app=open-webui`,
    };
  },
};

const silenceOf = async ({ api, namespace }: Walk, path: string): Promise<string | undefined> =>
  silenceIn(await askService(api, { namespace, ...WEBUI }, path), path);

const openWebui: Link = {
  name: 'Open WebUI',
  async look(walk) {
    // A page is asked for only where the site has none, since it is no cheap question.
    const said =
      (await silenceOf(walk, '/health')) ??
      ((await walk.site).isServed ? undefined : await silenceOf(walk, '/'));
    return said === undefined
      ? undefined
      : {
          id: 'open-webui',
          resource: 'kubernetes/open-webui',
          what: 'Open WebUI does not answer inside the cluster.',
          said,
          remedy: `kubectl logs -n ${walk.namespace} deployment/open-webui --tail=50`,
        };
  },
};

/** Everything behind it answers: what Cloudflare says tells which of its parts does not. */
const edge: Link = {
  name: 'the public site',
  async look({ scope, site: asked }) {
    const site = await asked;
    // Those behind it would otherwise take the place of what was found of it.
    if (site.isChallenged && wasBrokenAt(scope, ['site'])) throw unseen();
    if (site.isServed || site.isChallenged) return undefined;
    const [resource, remedy] = edgeOf(scope, site.said);
    return {
      id: 'site',
      resource,
      what: 'The site does not answer, although Open WebUI does inside the cluster.',
      said: `https://${scope.spec.tunnel.hostName}/: ${site.said}`,
      remedy,
    };
  },
};

/** https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/troubleshoot-tunnels/common-errors/ */
function edgeOf({ names }: Pick<CheckScope, 'names'>, said: string): readonly [ResourceKey, string] {
  const [, status] = /^HTTP (\d+)$/.exec(said) ?? [];
  switch (status) {
    case '530':
      return [
        'cloudflare/tunnel',
        'Error 1033: the DNS record leads to a tunnel without connectors. Compare its target with `cloudflared tunnel list`.',
      ];
    case '404':
    case '502':
    case '503':
    case '504':
      return [
        'cloudflare/ingress',
        `Look at the ingress rule of the tunnel: its host name, and the service ${siteService(names)}.`,
      ];
    case undefined:
      return [
        'cloudflare/dns-record',
        'Look at the DNS record of the site: it must be proxied by Cloudflare, with a certificate for its name.',
      ];
    default:
      return [
        'kubernetes/cloudflared',
        `See what cloudflared says of the request: kubectl logs -n ${names.namespace} deployment/cloudflared`,
      ];
  }
}

const ollama: Link = {
  name: 'Ollama',
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  async look({ scope, api, namespace }) {
    const found = await modelsIn(api, namespace);
    if (!('models' in found)) {
      return {
        id: 'ollama',
        resource: found.isMissing ? 'kubernetes/ollama-service' : 'kubernetes/ollama',
        what: 'Ollama does not answer.',
        said: found.said,
        remedy: `kubectl get pods -n ${namespace} -l app=ollama; kubectl logs -n ${namespace} deployment/ollama`,
      };
    }
    // Without a wished model, which ones there are is up to the people who use it.
    const isEmpty = found.models.length === 0 && missingModels(scope, found.models).length > 0;
    return isEmpty
      ? {
          id: 'model',
          resource: 'kubernetes/ollama-models',
          what: 'Ollama has no model that could answer.',
          said: 'its list of models is empty',
          remedy: `kubectl exec -n ${namespace} deployment/ollama -- ollama pull <model>`,
          repair: repairOf(scope),
        }
      : undefined;
  },
};

const chain: readonly Link[] = [name, connector, service, openWebui, edge, database, ollama];

export const canAUserChat: Check = {
  id: 'can-a-user-chat',
  system: 'site',
  title: 'Everything that a chat goes through answers',
  async run(scope) {
    const site = scope.clients.site(scope.spec.tunnel.hostName);
    const api = await clusterOf(scope);
    const walk: Walk = { scope, api, namespace: scope.names.namespace, site };
    const looks = chain
      .filter((link) => link.isWanted?.(scope) ?? true)
      .map((link) => ({ name: link.name, look: link.look(walk) }));
    // Those behind a broken link are not waited for.
    for (const { look } of looks) look.catch(() => undefined);
    const answered: string[] = [];
    for (const { name, look } of looks) {
      const broken = await look;
      if (broken) return [findingOf(broken, answered)];
      answered.push(name);
    }
    if (!(await site).isChallenged) return [];
    if (wasBrokenAt(scope, seenThroughChallenges)) return [challenged(scope)];
    throw unseen();
  },
};

const brokenAt = (id: string): string => `chain-broken-at-${id}`;
const wasBrokenAt = ({ foundBefore }: CheckScope, ids: readonly string[]): boolean =>
  ids.some((id) => foundBefore?.has(brokenAt(id)));

/** That the name leads to Cloudflare is shown by the challenge; who stands behind it, by the links inside the cluster. */
const seenThroughChallenges = [
  'site-name',
  'connector',
  'service',
  'open-webui',
  'database',
  'ollama',
  'model',
];

const unseenSite =
  'Cloudflare challenges the control plane, so whether it serves the site to browsers cannot be seen';
/** https://developers.cloudflare.com/bots/get-started/bot-fight-mode/ */
const letThrough =
  'Let the outbound address of the control plane through: Security, WAF, an IP Access rule that allows it, or a custom rule with the action Skip, which Bot Fight Mode does not heed; or switch Bot Fight Mode or Under Attack Mode off.';

const unseen = (): FailureError => fatal('SiteChallenged', `${unseenSite}. ${letThrough}`);

/**
 * In the place of a link that was broken and is seen to answer again: what is thrown instead would keep that for as long as
 * the challenge lasts. That the site is served has not been seen, hence it is no mere news.
 */
const challenged = ({ spec }: CheckScope): CheckFinding => ({
  id: 'site-challenged',
  resource: 'cloudflare/dns-record',
  severity: 'warning',
  what: `${unseenSite}.`,
  evidence: `https://${spec.tunnel.hostName}/ answers with cf-mitigated: challenge; all links inside the cluster answer.`,
  breaks: 'Nothing that is known: browsers pass the challenge.',
  remedy: letThrough,
});

function findingOf(
  { id, resource, what, said, remedy, repair, breaks = 'Users cannot chat.' }: Break,
  answered: readonly string[],
): CheckFinding {
  const before = answered.length > 0 ? `before it answered: ${answered.join(', ')}` : 'it is the first link';
  return {
    id: brokenAt(id),
    resource,
    severity: 'error',
    what,
    evidence: `${said}; ${before}`,
    breaks,
    remedy,
    ...(repair === undefined ? {} : { repair }),
  };
}
