/** The public site as somebody without a session finds it: is a page served? */

/** A page that takes longer is no page. */
const TIMEOUT_MS = 10_000;

export interface SiteAnswer {
  /** A success, or a redirect to where the page is. */
  readonly isServed: boolean;
  /** `HTTP 502`, or the code of what kept the answer from coming. */
  readonly said: string;
  /**
   * Cloudflare has asked for proof that a browser is there, which people never see fail: nothing is known of the site.
   * https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/
   */
  readonly isChallenged?: true;
}

/** Rejects never: an address that does not resolve is an answer, too. */
export async function requestSite(hostName: string): Promise<SiteAnswer> {
  try {
    const answer = await fetch(`https://${hostName}/`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.body?.cancel();
    return {
      isServed: answer.status >= 200 && answer.status < 400,
      said: `HTTP ${answer.status}`,
      ...(answer.headers.get('cf-mitigated') === 'challenge' ? { isChallenged: true } : {}),
    };
  } catch (error) {
    return { isServed: false, said: `no answer (${codeOf(error)})` };
  }
}

/** What fetch throws says only "fetch failed"; why stands in its cause. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  if (!(cause instanceof Error)) return 'unknown';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
