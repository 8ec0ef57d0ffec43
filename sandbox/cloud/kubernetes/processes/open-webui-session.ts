/**
 * What Open WebUI signs with WEBUI_SECRET_KEY: the session token, a JWT (backend/open_webui/utils/auth.py), and the
 * cookie that holds a sign-in's state until Entra sends the user back (Starlette's SessionMiddleware). Another key knows
 * neither: that is why a new one signs everybody out.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const STATE_COOKIE = 'owui-session';
export const TOKEN_COOKIE = 'token';

/** JWT_EXPIRES_IN when nothing is set (backend/open_webui/config.py). */
const DEFAULT_LIFETIME = '4w';
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** `4w`, `1h30m`; `-1` and `0` never end. */
export function lifetimeOf(text: string = DEFAULT_LIFETIME): number | undefined {
  if (text === '-1' || text === '0') return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit ?? ''] ?? 0), 0);
}

/** Times are virtual milliseconds. */
export function createToken(userId: string, key: string, now: number, lifetime: number | undefined): string {
  const claims = {
    id: userId,
    ...(lifetime === undefined ? {} : { exp: Math.floor((now + lifetime) / 1000) }),
  };
  const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${sign(signed, key)}`;
}

/** The user's id; undefined for a token of another key, and for one that has expired. */
export function readToken(token: string, key: string, now: number): string | undefined {
  const [, signed = '', signature = ''] = /^([\w-]+\.[\w-]+)\.([\w-]+)$/.exec(token) ?? [];
  if (!isSigned(signed, signature, key)) return undefined;
  const { id, exp } = parse(signed.split('.')[1] ?? '');
  if (typeof id !== 'string' || (typeof exp === 'number' && exp * 1000 <= now)) return undefined;
  return id;
}

/** A value for the state cookie. */
export function seal(state: string, key: string): string {
  const text = Buffer.from(JSON.stringify({ state })).toString('base64url');
  return `${text}.${sign(text, key)}`;
}

/** The state that was sealed with the same key. */
export function unseal(cookie: string, key: string): string | undefined {
  const [, text = '', signature = ''] = /^([\w-]+)\.([\w-]+)$/.exec(cookie) ?? [];
  if (!isSigned(text, signature, key)) return undefined;
  const { state } = parse(text);
  return typeof state === 'string' ? state : undefined;
}

export function cookieOf(request: Request, name: string): string | undefined {
  for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
    const [key, ...value] = pair.trim().split('=');
    if (key === name) return value.join('=');
  }
  return undefined;
}

function sign(text: string, key: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}

function isSigned(text: string, signature: string, key: string): boolean {
  const [wanted, given] = [Buffer.from(sign(text, key)), Buffer.from(signature)];
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}

/** Only of what we signed ourselves. */
function parse(text: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
}
