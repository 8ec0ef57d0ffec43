/**
 * Who changed something at Cloudflare, as the account's audit log (version 2) tells it, which holds no reads and nothing
 * that was refused: https://developers.cloudflare.com/fundamentals/account/account-security/audit-logs/
 *
 * To read it the API token needs *Account Settings: Read*. Whoever does not grant that is not told who.
 */
import Cloudflare from 'cloudflare';
import { type ChangeLog, type LoggedWrite, latestFirst } from './change-log.ts';

/** So many at most, the latest of the account: the log has no filter that finds all kinds of resources by their ids. */
const MOST_ENTRIES = 1_000;
/** The API wants an end, too; clocks differ, and nothing is logged that has not happened yet. */
const DAY = 86_400_000;

type Entry = Awaited<ReturnType<Cloudflare['accounts']['logs']['audit']['list']>>['result'][number];

/**
 * Ids are the ends of the paths by which the API changes a thing: a record's id, a tunnel's, `<tunnel>/configurations`.
 * A person with the control plane's own token cannot be told from it, and is not named.
 */
export function createCloudflareAudit(connect: () => Promise<Cloudflare>, accountId: string): ChangeLog {
  return {
    writes: async (id, since) => {
      const api = await connect();
      try {
        const own = await ownTokenId(api, accountId);
        const { result } = await api.accounts.logs.audit.list({
          account_id: accountId,
          since: since.toISOString(),
          before: new Date(Date.now() + DAY).toISOString(),
          direction: 'desc',
          limit: MOST_ENTRIES,
        });
        return result
          .filter((entry) => isBySomebody(entry, own) && concerns(entry, id))
          .flatMap(toWrite)
          .sort(latestFirst);
      } catch (error) {
        if (isRefused(error)) return [];
        throw error;
      }
    },
  };
}

/** Tokens belong to a user or to an account, and only one of the two knows them. */
async function ownTokenId(api: Cloudflare, accountId: string): Promise<string> {
  try {
    return (await api.user.tokens.verify()).id;
  } catch (error) {
    if (!isRefused(error)) throw error;
    return (await api.accounts.tokens.verify({ account_id: accountId })).id;
  }
}

const isRefused = (error: unknown): boolean =>
  error instanceof Cloudflare.APIError && (error.status === 401 || error.status === 403);

/** What Cloudflare's own systems log follows from what somebody did, who may have been the control plane. */
const isBySomebody = ({ action, actor }: Entry, own: string): boolean =>
  action?.result === 'success' && actor?.type !== 'system' && actor?.token_id !== own;

/** What has just been made is not yet in the path. */
function concerns({ raw, resource }: Entry, id: string): boolean {
  const [path = ''] = (raw?.uri ?? '').split('?');
  return path.endsWith(`/${id}`) || (raw?.method?.toUpperCase() === 'POST' && resource?.id === id);
}

function toWrite({ actor, action }: Entry): LoggedWrite[] {
  const [who, token] = [actor?.email ?? actor?.id, actor?.token_name];
  const caller = who && token ? `${who} (API token ${token})` : (who ?? token ?? actor?.type);
  if (!caller || action?.time === undefined) return [];
  return [{ caller, at: new Date(action.time).toISOString() }];
}
