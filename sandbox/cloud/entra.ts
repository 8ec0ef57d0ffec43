/**
 * Entra ID's token service: `login.microsoftonline.com`, and behind the scenes the tokens of managed identities. Tokens
 * are signed JWTs whose life is measured in virtual time.
 * One file because issuing, verifying and refusing stand on the same keys, applications and numbered errors.
 * Error numbers: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  verify,
} from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import { AuthorizationCodes } from './entra/authorization-codes.ts';
import {
  type Application,
  GRAPH_SERVICE_PRINCIPAL_ID,
  hashOfSecret,
  type TenantObjects,
} from './graph/tenant-objects.ts';
import type { Answer, Directory, Principal, SignedInUser } from './neighbours.ts';
import type { CallContext, Service, World } from './world.ts';

const HOST = 'login.microsoftonline.com';
/** Managed identity tokens live a day, all others about an hour. */
const MANAGED_IDENTITY_TOKEN_SECONDS = 86_400;
const TOKEN_SECONDS = 3_599;

/** Microsoft's own resources that tokens are asked for here; each has a service principal in every tenant. */
const FIRST_PARTY_AUDIENCES = [
  'https://management.azure.com',
  'https://management.core.windows.net',
  'https://graph.microsoft.com',
  'https://vault.azure.net',
  'https://containerregistry.azure.net',
  'https://storage.azure.com',
  'https://eventgrid.azure.net',
  'https://ossrdbms-aad.database.windows.net',
  '6dae42f8-4368-4678-94ff-3960e28e3630',
];

const claimsSchema = z.looseObject({
  aud: z.string(),
  exp: z.number(),
  iss: z.string(),
  oid: z.string(),
  tid: z.string(),
  appid: z.string().optional(),
  name: z.string(),
  idtyp: z.string(),
});

/** An error of the token service: number, OAuth code and HTTP status as Entra pairs them. */
interface TokenError {
  readonly number: number;
  readonly error: string;
  readonly status: number;
  readonly text: string;
}

export class Entra implements Directory, Service {
  readonly name = 'entra';
  readonly #world: World;
  readonly #objects: TenantObjects;
  readonly #codes: AuthorizationCodes;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;
  readonly #routes: Hono<{ Bindings: CallContext }>;

  constructor(world: World, objects: TenantObjects) {
    this.#world = world;
    this.#objects = objects;
    this.#codes = new AuthorizationCodes(world.clock);
    const keys = world.table<{ pem: string }>('entra/keys');
    if (!keys.has('signing')) {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      keys.set('signing', { pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() });
    }
    this.#privateKey = createPrivateKey(keys.get('signing')?.pem ?? '');
    this.#publicKey = createPublicKey(this.#privateKey);
    this.#keyId = createHash('sha1')
      .update(this.#publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64url');
    this.#routes = this.#createRoutes();
  }

  matches(host: string): boolean {
    return host === HOST;
  }

  fetch(request: Request, call: CallContext): Response | Promise<Response> {
    return this.#routes.fetch(request, call);
  }

  addManagedIdentity(displayName: string): Principal & { readonly appId: string } {
    return this.registerManagedIdentity({
      id: randomUUID(),
      appId: randomUUID(),
      displayName,
      createdAt: this.#world.clock.now(),
      graphPermissions: [],
    });
  }

  /** A managed identity with ids of the caller's choosing: what stood in the tenant before the sandbox began. */
  registerManagedIdentity(identity: {
    id: string;
    appId: string;
    displayName: string;
    createdAt: number;
    graphPermissions: readonly string[];
  }): Principal & { readonly appId: string } {
    const { id, appId, displayName, createdAt, graphPermissions } = identity;
    this.#objects.servicePrincipals.set(id, {
      id,
      appId,
      type: 'ManagedIdentity',
      createdAt,
      properties: { displayName, accountEnabled: true },
      ownerIds: [],
      graphPermissions,
    });
    return { id, appId, displayName, kind: 'managed-identity', createdAt };
  }

  removePrincipal(id: string): void {
    const principal = this.#objects.servicePrincipals.get(id);
    if (principal) {
      this.#objects.servicePrincipals.set(id, { ...principal, deletedAt: this.#world.clock.now() });
    }
  }

  findPrincipal(id: string): Principal | undefined {
    const { operator } = this.#world.settings;
    if (id === operator.principalId) {
      return { id, displayName: operator.userPrincipalName, kind: 'user', createdAt: 0 };
    }
    const found = this.#objects.servicePrincipals.get(id);
    if (!found || found.deletedAt !== undefined) return undefined;
    return {
      id,
      appId: found.appId,
      displayName: String(found.properties['displayName'] ?? ''),
      kind: found.type === 'ManagedIdentity' ? 'managed-identity' : 'service-principal',
      createdAt: found.createdAt,
    };
  }

  findPrincipalByAppId(appId: string): Principal | undefined {
    const found = this.#objects.servicePrincipals
      .values()
      .find((principal) => principal.appId === appId.toLowerCase() && principal.deletedAt === undefined);
    return found && this.findPrincipal(found.id);
  }

  /** Whether the tenant knows the resource that a token is asked for. */
  hasAudience(audience: string): boolean {
    const wanted = withoutSlash(audience);
    return (
      FIRST_PARTY_AUDIENCES.includes(wanted) ||
      this.#objects.applications
        .values()
        .some(({ appId, deletedAt }) => deletedAt === undefined && [appId, `api://${appId}`].includes(wanted))
    );
  }

  issueToken(principalId: string, audience: string): { accessToken: string; expiresOn: number } {
    const principal = this.findPrincipal(principalId);
    if (!principal) throw new Error(`there is no principal ${principalId}`);
    const { tenantId, operator } = this.#world.settings;
    const now = Math.floor(this.#world.clock.now() / 1000);
    const expiresOn =
      now + (principal.kind === 'managed-identity' ? MANAGED_IDENTITY_TOKEN_SECONDS : TOKEN_SECONDS);
    const claims = {
      aud: audience,
      iss: `https://sts.windows.net/${tenantId}/`,
      iat: now,
      nbf: now,
      exp: expiresOn,
      oid: principal.id,
      sub: principal.id,
      tid: tenantId,
      name: principal.displayName,
      ver: '1.0',
      uti: randomUUID(),
      ...(principal.kind === 'user'
        ? { idtyp: 'user', upn: operator.userPrincipalName, scp: 'user_impersonation' }
        : {
            idtyp: 'app',
            appid: principal.appId,
            appidacr: principal.kind === 'managed-identity' ? '2' : '1',
          }),
    };
    const head = { typ: 'JWT', alg: 'RS256', kid: this.#keyId };
    const signed = [head, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('RSA-SHA256', Buffer.from(signed), this.#privateKey).toString('base64url');
    return { accessToken: `${signed}.${signature}`, expiresOn };
  }

  verifyToken(authorization: string | null, audiences: readonly string[]): Answer<{ principal: Principal }> {
    if (!authorization) {
      return refusal('AuthenticationFailed', "Authentication failed. The 'Authorization' header is missing.");
    }
    const [, token] = /^bearer ([\w.-]+)$/i.exec(authorization) ?? [];
    const [head = '', body = '', signature = '', ...rest] = token?.split('.') ?? [];
    const isGenuine =
      rest.length === 0 &&
      signature !== '' &&
      verify(
        'RSA-SHA256',
        Buffer.from(`${head}.${body}`),
        this.#publicKey,
        Buffer.from(signature, 'base64url'),
      );
    if (!isGenuine) return refusal('InvalidAuthenticationToken', 'The access token is invalid.');
    const claims = claimsSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
    const now = this.#world.clock.now();
    if (claims.exp * 1000 <= now) {
      const [expired, current] = [claims.exp * 1000, now].map((time) => new Date(time).toISOString());
      return refusal(
        'ExpiredAuthenticationToken',
        `The access token expiry UTC time '${expired}' is earlier than current UTC time '${current}'.`,
      );
    }
    const { tenantId } = this.#world.settings;
    if (claims.tid !== tenantId) {
      return refusal(
        'InvalidAuthenticationTokenTenant',
        `The access token is from the wrong issuer '${claims.iss}'. It must match the tenant ` +
          `'https://sts.windows.net/${tenantId}/' associated with this subscription.`,
      );
    }
    if (!audiences.map(withoutSlash).includes(withoutSlash(claims.aud))) {
      return refusal(
        'InvalidAuthenticationTokenAudience',
        `The access token has been obtained for wrong audience or resource '${claims.aud}'. ` +
          `It should exactly match with one of the allowed audiences '${audiences.join("','")}'.`,
      );
    }
    // A token outlives the principal it was issued to: what the deleted one may still do is for the roles to say.
    const principal: Principal = this.findPrincipal(claims.oid) ?? {
      id: claims.oid,
      ...(claims.appid === undefined ? {} : { appId: claims.appid }),
      displayName: claims.name,
      kind: 'service-principal',
    };
    return { ok: true, principal };
  }

  canSignIn(app: {
    clientId: string;
    clientSecret: string;
    tenantId: string;
    redirectUri: string;
    scopes: readonly string[];
  }): Answer<object> {
    const tenant = this.#tenantProblem(app.tenantId);
    if (tenant) return problem(tenant);
    const found = this.#findClient(app.clientId);
    if ('number' in found) return problem(found);
    const wrongRedirect = this.#redirectProblem(found, app.redirectUri);
    if (wrongRedirect) return problem(wrongRedirect);
    if (!app.scopes.includes('openid')) {
      return refusal(
        'NoIdToken',
        "Without the scope 'openid' no ID token is issued and nobody is signed in.",
      );
    }
    const principal = this.#objects.findServicePrincipal({ appId: found.appId });
    if (principal?.properties['accountEnabled'] === false) {
      return refusal('AADSTS7000112', `Application '${found.appId}' is disabled.`);
    }
    const granted = this.#objects.grants
      .values()
      .filter(
        (grant) =>
          grant.clientId === principal?.id &&
          grant.resourceId === GRAPH_SERVICE_PRINCIPAL_ID &&
          grant.consentType === 'AllPrincipals' &&
          this.#objects.isReplicated(grant),
      )
      .flatMap(({ scope }) => scope.split(' '));
    const missing = app.scopes.filter((scope) => !granted.includes(scope));
    if (missing.length > 0) {
      return refusal(
        'AADSTS65001',
        `The user or administrator has not consented to use the application with ID '${found.appId}' named ` +
          `'${String(found.properties['displayName'])}' (${missing.join(' ')}).`,
      );
    }
    const secret = this.#secretProblem(found, app.clientSecret);
    return secret ? problem(secret) : { ok: true };
  }

  redeemCode(app: Parameters<Directory['redeemCode']>[0], code: string): Answer<{ user: SignedInUser }> {
    const judged = this.canSignIn(app);
    return judged.ok ? this.#codes.redeem(app.clientId, app.redirectUri, code) : judged;
  }

  #redirectProblem(application: Application, redirectUri: string): TokenError | undefined {
    const web = z
      .looseObject({ redirectUris: z.array(z.string()).default([]) })
      .safeParse(application.properties['web'] ?? {});
    if (web.data?.redirectUris.includes(redirectUri)) return undefined;
    return {
      number: 50011,
      error: 'invalid_request',
      status: 400,
      text:
        `The redirect URI '${redirectUri}' specified in the request does not match the redirect URIs configured ` +
        `for the application '${application.appId}'.`,
    };
  }

  /** The page where people sign in, without the page: whoever `login_hint` names is sent back with a code at once. */
  #authorize(tenant: string, query: URLSearchParams): Response {
    const wrongTenant = this.#tenantProblem(tenant);
    if (wrongTenant) return this.#errorAnswer(wrongTenant);
    const client = this.#findClient(query.get('client_id') ?? '');
    if ('number' in client) return this.#errorAnswer(client);
    const redirectUri = query.get('redirect_uri') ?? '';
    const wrongRedirect = this.#redirectProblem(client, redirectUri);
    if (wrongRedirect) return this.#errorAnswer(wrongRedirect);
    const email = query.get('login_hint') ?? '';
    if (query.get('response_type') !== 'code' || email === '') {
      return new Response(
        `${HOST} has no sign-in page here: response_type must be code, and login_hint the address of who signs in`,
        { status: 501 },
      );
    }
    const { zoneName } = this.#world.settings.cloudflare;
    if (!email.toLowerCase().endsWith(`@${zoneName}`)) {
      return this.#errorAnswer({
        number: 50020,
        error: 'invalid_request',
        status: 400,
        text: `User account '${email}' from identity provider 'live.com' does not exist in tenant '${zoneName}' and cannot access the application '${client.appId}' in that tenant.`,
      });
    }
    const location = new URL(redirectUri);
    location.searchParams.set('code', this.#codes.issue(client.appId, redirectUri, email));
    const state = query.get('state');
    if (state !== null) location.searchParams.set('state', state);
    return new Response(null, { status: 302, headers: { location: location.href } });
  }

  #tenantProblem(tenant: string): TokenError | undefined {
    if (tenant.toLowerCase() === this.#world.settings.tenantId) return undefined;
    if (['common', 'organizations', 'consumers'].includes(tenant)) {
      return {
        number: 50194,
        error: 'invalid_request',
        status: 400,
        text: 'The application is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such applications.',
      };
    }
    return {
      number: 90002,
      error: 'invalid_request',
      status: 400,
      text: `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
    };
  }

  #findClient(clientId: string): Application | TokenError {
    return (
      this.#objects.findApplication({ appId: clientId }) ?? {
        number: 700016,
        error: 'unauthorized_client',
        status: 400,
        text: `Application with identifier '${clientId}' was not found in the directory '${this.#world.settings.tenantId}'.`,
      }
    );
  }

  #secretProblem(application: Application, secret: string): TokenError | undefined {
    const known = application.passwordCredentials.find(
      (credential) => credential.hash === hashOfSecret(secret) && this.#objects.isReplicated(credential),
    );
    if (!known || Date.parse(known.startDateTime) > this.#world.clock.now()) {
      return {
        number: 7000215,
        error: 'invalid_client',
        status: 401,
        text: `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${application.appId}'.`,
      };
    }
    if (Date.parse(known.endDateTime) <= this.#world.clock.now()) {
      return {
        number: 7000222,
        error: 'invalid_client',
        status: 401,
        text: `The provided client secret keys for app '${application.appId}' are expired.`,
      };
    }
    return undefined;
  }

  #createRoutes(): Hono<{ Bindings: CallContext }> {
    const routes = new Hono<{ Bindings: CallContext }>();
    routes.get('/common/discovery/instance', (context) => {
      const endpoint = context.req.query('authorization_endpoint') ?? '';
      const tenant = URL.parse(endpoint)?.pathname.split('/')[1] ?? 'common';
      return context.json({
        tenant_discovery_endpoint: `https://${HOST}/${tenant}/v2.0/.well-known/openid-configuration`,
        'api-version': '1.1',
        metadata: [
          {
            preferred_network: HOST,
            preferred_cache: 'login.windows.net',
            aliases: [HOST, 'login.windows.net', 'login.microsoft.com', 'sts.windows.net'],
          },
        ],
      });
    });
    routes.get('/:tenant/v2.0/.well-known/openid-configuration', (context) => {
      const tenant = context.req.param('tenant');
      const wrong = this.#tenantProblem(tenant);
      if (wrong && wrong.number !== 50194) return this.#errorAnswer(wrong);
      const base = `https://${HOST}/${tenant}`;
      return context.json({
        token_endpoint: `${base}/oauth2/v2.0/token`,
        token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
        jwks_uri: `${base}/discovery/v2.0/keys`,
        response_modes_supported: ['query', 'fragment', 'form_post'],
        subject_types_supported: ['pairwise'],
        id_token_signing_alg_values_supported: ['RS256'],
        response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
        scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
        issuer: `https://${HOST}/${this.#world.settings.tenantId}/v2.0`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        end_session_endpoint: `${base}/oauth2/v2.0/logout`,
        userinfo_endpoint: 'https://graph.microsoft.com/oidc/userinfo',
        tenant_region_scope: 'AS',
        cloud_instance_name: 'microsoftonline.com',
      });
    });
    routes.get('/:tenant/discovery/v2.0/keys', (context) =>
      context.json({
        keys: [{ ...this.#publicKey.export({ format: 'jwk' }), kid: this.#keyId, use: 'sig' }],
      }),
    );
    routes.get('/:tenant/oauth2/v2.0/authorize', (context) =>
      this.#authorize(context.req.param('tenant'), new URL(context.req.url).searchParams),
    );
    routes.post('/:tenant/oauth2/v2.0/token', async (context) => {
      const form = new URLSearchParams(await context.req.text());
      const answer = this.#clientCredentials(context.req.param('tenant'), form);
      if ('number' in answer) return this.#errorAnswer(answer);
      context.env.caller = answer.caller;
      return context.json(answer.body);
    });
    routes.notFound((context) =>
      context.text(`${context.req.method} ${context.req.path} is not simulated by ${HOST}`, 404),
    );
    return routes;
  }

  #clientCredentials(tenant: string, form: URLSearchParams): TokenError | { caller: string; body: object } {
    const wrongTenant = this.#tenantProblem(tenant);
    if (wrongTenant) return wrongTenant;
    const grant = form.get('grant_type') ?? '';
    if (grant !== 'client_credentials') {
      return {
        number: 70003,
        error: 'unsupported_grant_type',
        status: 400,
        text: `The app requested an unsupported grant type '${grant}'.`,
      };
    }
    const client = this.#findClient(form.get('client_id') ?? '');
    if ('number' in client) return client;
    const secret = form.get('client_secret');
    if (secret === null) {
      return {
        number: 7000216,
        error: 'invalid_client',
        status: 401,
        text: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
      };
    }
    const wrongSecret = this.#secretProblem(client, secret);
    if (wrongSecret) return wrongSecret;
    const [, audience] = /^(\S+)\/\.default$/.exec(form.get('scope') ?? '') ?? [];
    if (audience === undefined) {
      return {
        number: 1002012,
        error: 'invalid_scope',
        status: 400,
        text: `The provided value for scope ${form.get('scope') ?? ''} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
      };
    }
    if (!this.hasAudience(audience)) {
      return {
        number: 500011,
        error: 'invalid_resource',
        status: 400,
        text: `The resource principal named ${audience} was not found in the tenant named ${this.#world.settings.tenantId}.`,
      };
    }
    const principal = this.#objects.findServicePrincipal({ appId: client.appId });
    if (!principal) {
      return {
        number: 7000229,
        error: 'unauthorized_client',
        status: 401,
        text: `The client application ${client.appId} is missing service principal in the tenant ${this.#world.settings.tenantId}.`,
      };
    }
    return {
      caller: String(principal.properties['displayName'] ?? ''),
      body: {
        token_type: 'Bearer',
        expires_in: TOKEN_SECONDS,
        ext_expires_in: TOKEN_SECONDS,
        access_token: this.issueToken(principal.id, audience).accessToken,
      },
    };
  }

  #errorAnswer({ number, error, status, text }: TokenError): Response {
    const timestamp = new Date(this.#world.clock.now()).toISOString().replace('T', ' ').replace(/\.\d+/, '');
    const [trace, correlation] = [randomUUID(), randomUUID()];
    return Response.json(
      {
        error,
        error_description: `AADSTS${number}: ${text} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
        error_codes: [number],
        timestamp,
        trace_id: trace,
        correlation_id: correlation,
        error_uri: `https://${HOST}/error?code=${number}`,
      },
      { status },
    );
  }
}

function withoutSlash(audience: string): string {
  return audience.replace(/\/+$/, '');
}

function refusal(code: string, reason: string): { ok: false; code: string; reason: string } {
  return { ok: false, code, reason };
}

function problem({ number, text }: TokenError): { ok: false; code: string; reason: string } {
  return refusal(`AADSTS${number}`, text);
}
