/**
 * Key Vault's data plane for secrets, `<vault>.vault.azure.net`. Which vaults exist, and how they are protected, is
 * ARM's to say; who may do what is decided by role assignments on the vault's ARM id.
 * One file because each route is a few lines and all share the same authorization and the same refusals.
 * https://learn.microsoft.com/rest/api/keyvault/secrets ; refusals:
 * https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
 */
import { createHash, randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import { type Secret, type SecretEvent, Secrets, type SecretVersion } from './key-vault/secrets.ts';
import type { Answer, Neighbours, Principal, VaultResources, Vaults, VaultVersion } from './neighbours.ts';
import type { CallContext, Service, World } from './world.ts';

const AUDIENCE = 'https://vault.azure.net';
/** What `@azure/keyvault-secrets` 4.11 sends, and its predecessors. */
const API_VERSIONS = ['7.2', '7.3', '7.4', '7.5', '7.6', '2025-07-01'];
const LONGEST_VALUE_BYTES = 25 * 1024;
const PAGE_SIZE = 25;

type Vault = NonNullable<ReturnType<VaultResources['find']>> & {
  readonly host: string;
  readonly name: string;
};
type Env = { Bindings: CallContext; Variables: { vault: Vault; principal: Principal } };

const attributesSchema = z.strictObject({
  enabled: z.boolean().optional(),
  nbf: z.number().int().nullish(),
  exp: z.number().int().nullish(),
});
const tagsSchema = z.record(z.string().max(256), z.string().max(256));
const setBody = z.strictObject({
  value: z.string(),
  contentType: z.string().max(255).nullish(),
  tags: tagsSchema.nullish(),
  attributes: attributesSchema.nullish(),
});
const updateBody = setBody.omit({ value: true });

/** An error in Key Vault's envelope. */
class KeyVaultError extends Error {
  readonly status: number;
  readonly code: string;
  readonly inner: string | undefined;

  constructor(status: number, code: string, message: string, inner?: string) {
    super(message);
    this.name = 'KeyVaultError';
    this.status = status;
    this.code = code;
    this.inner = inner;
  }
}

export class KeyVault implements Vaults, Service {
  readonly name = 'key-vault';
  readonly #world: World;
  readonly #neighbours: Pick<Neighbours, 'directory' | 'authorization' | 'vaultResources'>;
  readonly #secrets: Secrets;
  readonly #routes: Hono<Env>;

  constructor(world: World, neighbours: Pick<Neighbours, 'directory' | 'authorization' | 'vaultResources'>) {
    this.#world = world;
    this.#neighbours = neighbours;
    this.#secrets = new Secrets(world, (event, secret, version) => this.#emit(event, secret, version));
    this.#routes = this.#createRoutes();
  }

  matches(host: string): boolean {
    return this.#findVault(host) !== undefined;
  }

  fetch(request: Request, call: CallContext): Response | Promise<Response> {
    return this.#routes.fetch(request, call);
  }

  readSecret(
    vaultUrl: string,
    name: string,
    principalId: string,
    version?: string,
  ): Answer<{ value: string; version: string }> {
    const host = URL.parse(vaultUrl)?.hostname ?? vaultUrl;
    const vault = this.#findVault(host);
    if (!vault) {
      return { ok: false, code: 'ENOTFOUND', reason: `dial tcp: lookup ${host}: no such host` };
    }
    const principal = this.#neighbours.directory.findPrincipal(principalId);
    if (!principal) {
      return { ok: false, code: 'Unauthorized', reason: `There is no principal ${principalId}.` };
    }
    try {
      this.#authorize(vault, principal, 'getSecret/action', name);
      const found = this.#readable(vault, name, version);
      return { ok: true, value: found.version.value, version: found.version.version };
    } catch (error) {
      if (!(error instanceof KeyVaultError)) throw error;
      return { ok: false, code: error.inner ?? error.code, reason: error.message };
    }
  }

  versionsOf(valueHash: string): readonly VaultVersion[] {
    const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
    return this.#secrets.all().flatMap(({ host, name, versions }) =>
      versions.flatMap(({ value, version, created }, index) => {
        if (createHash('sha256').update(value).digest('hex') !== valueHash) return [];
        const next = versions[index + 1];
        return [
          {
            vault: host.split('.')[0] ?? '',
            secret: name,
            version,
            createdAt: time(created),
            supersededAt: next ? time(next.created) : null,
          },
        ];
      }),
    );
  }

  /** From now on the end of a secret is announced. Not before: a vault is only known once ARM is. */
  watchExpiry(): void {
    this.#secrets.watchExpiry();
  }

  forget(host: string): void {
    this.#secrets.purgeAll(host.toLowerCase());
  }

  /** Puts a secret in place without asking anybody: what was there before the sandbox began. */
  seed(host: string, name: string, value: string): void {
    this.#secrets.addVersion(host, name, { value });
  }

  #findVault(host: string): Vault | undefined {
    if (!host.endsWith('.vault.azure.net')) return undefined;
    const found = this.#neighbours.vaultResources.find(host);
    return found && { ...found, host, name: found.id.split('/').at(-1) ?? '' };
  }

  #createRoutes(): Hono<Env> {
    const routes = new Hono<Env>({ strict: false });
    routes.use('*', async (context, next) => {
      const vault = this.#findVault(context.env.host);
      if (!vault) throw new Error(`${context.env.host} was dispatched here although there is no such vault`);
      const verified = this.#neighbours.directory.verifyToken(context.req.header('authorization') ?? null, [
        AUDIENCE,
      ]);
      if (!verified.ok) return challenge(vault, verified.reason);
      context.env.caller = verified.principal.displayName;
      context.set('vault', vault);
      context.set('principal', verified.principal);
      const version = context.req.query('api-version') ?? '';
      if (!API_VERSIONS.includes(version)) {
        throw new KeyVaultError(
          400,
          'BadParameter',
          `The specified version (${version}) is not recognized. Consider using the latest supported version (${API_VERSIONS.at(-1)}).`,
        );
      }
      await next();
      context.header('x-ms-keyvault-region', vault.location ?? 'eastasia');
      context.header('x-ms-request-id', randomUUID());
      return;
    });
    this.#addSecretRoutes(routes);
    this.#addDeletedSecretRoutes(routes);
    routes.notFound((context) =>
      errorAnswer(
        new KeyVaultError(
          404,
          'NotFound',
          `${context.req.method} ${context.req.path} is not an operation of secrets.`,
        ),
      ),
    );
    routes.onError((error) => {
      if (error instanceof KeyVaultError) return errorAnswer(error);
      throw error;
    });
    return routes;
  }

  #addSecretRoutes(routes: Hono<Env>): void {
    routes.get('/secrets', (context) => {
      const { vault, principal } = context.var;
      this.#authorize(vault, principal, 'readMetadata/action');
      const items = this.#secrets.list(vault.host, 'live').flatMap((secret) => {
        const current = secret.versions.at(-1);
        return current
          ? [{ ...show(vault, secret, current), id: `https://${vault.host}/secrets/${secret.name}` }]
          : [];
      });
      return context.json(page(new URL(context.req.url), items));
    });
    routes.put('/secrets/:name', async (context) => {
      const { vault, principal } = context.var;
      const name = context.req.param('name');
      this.#authorize(vault, principal, 'setSecret/action', name);
      if (!/^[0-9a-zA-Z-]{1,127}$/.test(name)) {
        throw new KeyVaultError(400, 'BadParameter', `The request URI contains an invalid name: ${name}`);
      }
      const body = await bodyOf(context.req.raw, setBody);
      if (Buffer.byteLength(body.value) > LONGEST_VALUE_BYTES) {
        throw new KeyVaultError(400, 'BadParameter', 'Secret value is longer than 25600 bytes.');
      }
      const known = this.#secrets.find(vault.host, name);
      if (known && known.state !== 'live') throw conflict(name, known.state);
      const { secret, version } = this.#secrets.addVersion(vault.host, name, {
        value: body.value,
        ...writable(body),
        ...(body.attributes?.enabled === undefined ? {} : { enabled: body.attributes.enabled }),
      });
      return context.json({ value: version.value, ...show(vault, secret, version) });
    });
    routes.get('/secrets/:name/versions', (context) => {
      const { vault, principal } = context.var;
      const name = context.req.param('name');
      this.#authorize(vault, principal, 'readMetadata/action', name);
      const known = this.#secrets.find(vault.host, name);
      const secret = known?.state === 'live' ? known.secret : undefined;
      const items = (secret?.versions ?? []).flatMap((version) =>
        secret ? [show(vault, secret, version)] : [],
      );
      return context.json(page(new URL(context.req.url), items));
    });
    routes.get('/secrets/:name/:version?', (context) => {
      const { vault, principal } = context.var;
      const name = context.req.param('name');
      this.#authorize(vault, principal, 'getSecret/action', name);
      const { secret, version } = this.#readable(vault, name, context.req.param('version') || undefined);
      return context.json({ value: version.value, ...show(vault, secret, version) });
    });
    routes.patch('/secrets/:name/:version?', async (context) => {
      const { vault, principal } = context.var;
      const name = context.req.param('name');
      this.#authorize(vault, principal, 'update/action', name);
      const { secret, version } = this.#find(vault, name, context.req.param('version') || undefined);
      const body = await bodyOf(context.req.raw, updateBody);
      const changed: SecretVersion = {
        ...version,
        ...writable(body),
        enabled: body.attributes?.enabled ?? version.enabled,
      };
      this.#secrets.updateVersion(secret, changed);
      return context.json(show(vault, secret, changed));
    });
    routes.delete('/secrets/:name', (context) => {
      const { vault, principal } = context.var;
      const name = context.req.param('name');
      this.#authorize(vault, principal, 'delete', name);
      const { secret } = this.#find(vault, name);
      return context.json(
        showDeleted(vault, this.#secrets.delete(secret, vault.softDeleteRetentionInDays ?? 90)),
      );
    });
  }

  #addDeletedSecretRoutes(routes: Hono<Env>): void {
    routes.get('/deletedsecrets', (context) => {
      const { vault, principal } = context.var;
      this.#authorize(vault, principal, 'readMetadata/action');
      const items = this.#secrets.list(vault.host, 'deleted').map((secret) => showDeleted(vault, secret));
      return context.json(page(new URL(context.req.url), items));
    });
    routes.get('/deletedsecrets/:name', (context) => {
      const { vault, principal } = context.var;
      this.#authorize(vault, principal, 'readMetadata/action', context.req.param('name'));
      return context.json(showDeleted(vault, this.#findDeleted(vault, context.req.param('name'))));
    });
    routes.post('/deletedsecrets/:name/recover', (context) => {
      const { vault, principal } = context.var;
      this.#authorize(vault, principal, 'recover/action', context.req.param('name'));
      const secret = this.#secrets.recover(this.#findDeleted(vault, context.req.param('name')));
      const current = secret.versions.at(-1);
      return context.json(current ? show(vault, secret, current) : {});
    });
    routes.delete('/deletedsecrets/:name', (context) => {
      const { vault, principal } = context.var;
      this.#authorize(vault, principal, 'purge/action', context.req.param('name'));
      const secret = this.#findDeleted(vault, context.req.param('name'));
      if (vault.enablePurgeProtection) {
        throw new KeyVaultError(
          403,
          'Forbidden',
          `Operation "purge" is not enabled for this vault: purge protection is on.`,
          'ForbiddenByPurgeProtection',
        );
      }
      this.#secrets.purge(secret);
      return context.body(null, 204);
    });
  }

  #authorize(vault: Vault, principal: Principal, operation: string, name?: string): void {
    const { tenantId } = this.#world.settings;
    const caller =
      `Caller: ${principal.appId === undefined ? '' : `appid=${principal.appId};`}oid=${principal.id};` +
      `iss=https://sts.windows.net/${tenantId}/`;
    const location = `Vault: ${vault.name};location=${vault.location ?? 'eastasia'}`;
    if (vault.publicNetworkAccess === 'Disabled') {
      throw new KeyVaultError(
        403,
        'Forbidden',
        `Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\n${caller}\r\n${location}`,
        'ForbiddenByConnection',
      );
    }
    if (!vault.enableRbacAuthorization) {
      throw new KeyVaultError(
        403,
        'Forbidden',
        `The user, group or application '${caller.slice(8)}' does not have secrets permission on key vault '${vault.name}'. Access policies are not simulated: use RBAC.`,
        'ForbiddenByPolicy',
      );
    }
    const action = `Microsoft.KeyVault/vaults/secrets/${operation}`;
    const resource = name === undefined ? vault.id : `${vault.id}/secrets/${name}`;
    if (!this.#neighbours.authorization.isAllowed(principal.id, resource, { dataAction: action })) {
      throw new KeyVaultError(
        403,
        'Forbidden',
        'Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role ' +
          `definitions were changed recently, please observe propagation time.\r\n${caller}\r\nAction: '${action}'\r\n` +
          `Resource: '${resource.toLowerCase()}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n` +
          `DecisionReason: null\r\n${location}\r\n`,
        'ForbiddenByRbac',
      );
    }
  }

  #find(vault: Vault, name: string, version?: string): { secret: Secret; version: SecretVersion } {
    const known = this.#secrets.find(vault.host, name);
    const found =
      known?.state === 'live'
        ? version === undefined
          ? known.secret.versions.at(-1)
          : known.secret.versions.find((candidate) => candidate.version === version)
        : undefined;
    if (!known || !found) {
      throw new KeyVaultError(
        404,
        'SecretNotFound',
        `A secret with (name/id) ${name}${version === undefined ? '' : `/${version}`} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
      );
    }
    return { secret: known.secret, version: found };
  }

  /**
   * As {@link #find}, but refuses disabled versions. Outside its `nbf`/`exp` window a secret can still be read:
   * https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations
   */
  #readable(vault: Vault, name: string, version?: string): { secret: Secret; version: SecretVersion } {
    const found = this.#find(vault, name, version);
    if (!found.version.enabled) {
      throw new KeyVaultError(
        403,
        'Forbidden',
        'Operation get is not allowed on a disabled secret.',
        'SecretDisabled',
      );
    }
    return found;
  }

  #findDeleted(vault: Vault, name: string): Secret {
    const known = this.#secrets.find(vault.host, name);
    if (known?.state !== 'deleted') {
      throw new KeyVaultError(404, 'SecretNotFound', `Deleted Secret not found: ${name}`);
    }
    return known.secret;
  }

  #emit(event: SecretEvent, secret: Secret, version: SecretVersion): void {
    const vault = this.#findVault(secret.host);
    if (!vault) return;
    this.#world.emit({
      topic: vault.id,
      subject: secret.name,
      eventType: `Microsoft.KeyVault.${event}`,
      dataVersion: '1',
      data: {
        Id: `https://${secret.host}/secrets/${secret.name}/${version.version}`,
        VaultName: vault.name,
        ObjectType: 'Secret',
        ObjectName: secret.name,
        Version: version.version,
        NBF: version.nbf ?? null,
        EXP: version.exp ?? null,
      },
    });
  }
}

/** https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses */
function challenge(vault: Vault, reason: string): Response {
  return Response.json(
    {
      error: {
        code: 'Unauthorized',
        message: `AKV10000: Request is missing a Bearer or PoP token. ${reason}`,
      },
    },
    {
      status: 401,
      headers: {
        'www-authenticate': `Bearer authorization="https://login.microsoftonline.com/${vault.tenantId}", resource="${AUDIENCE}"`,
      },
    },
  );
}

function errorAnswer({ status, code, message, inner }: KeyVaultError): Response {
  return Response.json(
    { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } },
    { status },
  );
}

function conflict(name: string, state: 'being-deleted' | 'deleted' | 'being-recovered'): KeyVaultError {
  switch (state) {
    case 'deleted':
      return new KeyVaultError(
        409,
        'Conflict',
        `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.`,
        'ObjectIsDeletedButRecoverable',
      );
    case 'being-deleted':
      return new KeyVaultError(
        409,
        'Conflict',
        `Secret ${name} is currently being deleted.`,
        'ObjectIsBeingDeleted',
      );
    case 'being-recovered':
      return new KeyVaultError(
        409,
        'Conflict',
        `Secret ${name} is currently being recovered.`,
        'ObjectIsBeingRecovered',
      );
  }
}

async function bodyOf<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const text = await request.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new KeyVaultError(400, 'BadParameter', 'The request body is not valid JSON.');
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new KeyVaultError(
      400,
      'BadParameter',
      `Property has invalid value: ${z.prettifyError(parsed.error)}`,
    );
  }
  return parsed.data;
}

/** What a body says about a version; what it leaves out stays as it is. */
function writable(
  body: z.infer<typeof updateBody>,
): Pick<SecretVersion, 'contentType' | 'tags' | 'nbf' | 'exp'> {
  const { contentType, tags, attributes } = body;
  return {
    ...(contentType == null ? {} : { contentType }),
    ...(tags == null ? {} : { tags }),
    ...(attributes?.nbf == null ? {} : { nbf: attributes.nbf }),
    ...(attributes?.exp == null ? {} : { exp: attributes.exp }),
  };
}

function show(vault: Vault, secret: Secret, version: SecretVersion): Record<string, unknown> {
  const { contentType, tags, enabled, nbf, exp, created, updated } = version;
  return {
    ...(contentType === undefined ? {} : { contentType }),
    id: `https://${vault.host}/secrets/${secret.name}/${version.version}`,
    attributes: {
      enabled,
      ...(nbf === undefined ? {} : { nbf }),
      ...(exp === undefined ? {} : { exp }),
      created,
      updated,
      recoveryLevel: vault.enablePurgeProtection ? 'Recoverable' : 'Recoverable+Purgeable',
      recoverableDays: vault.softDeleteRetentionInDays ?? 90,
    },
    ...(tags === undefined ? {} : { tags }),
  };
}

function showDeleted(vault: Vault, secret: Secret): Record<string, unknown> {
  const current = secret.versions.at(-1);
  return {
    ...(current ? show(vault, secret, current) : {}),
    recoveryId: `https://${vault.host}/deletedsecrets/${secret.name}`,
    deletedDate: Math.floor((secret.deletion?.at ?? 0) / 1000),
    scheduledPurgeDate: Math.floor((secret.deletion?.purgeAt ?? 0) / 1000),
  };
}

function page(url: URL, items: readonly object[]): { value: object[]; nextLink: string | null } {
  const size = Number(url.searchParams.get('maxresults') ?? PAGE_SIZE);
  if (!Number.isInteger(size) || size < 1 || size > PAGE_SIZE) {
    throw new KeyVaultError(400, 'BadParameter', `maxresults must be between 1 and ${PAGE_SIZE}.`);
  }
  const start = Number(url.searchParams.get('$skiptoken') ?? 0) || 0;
  const next = new URL(url);
  next.searchParams.set('$skiptoken', String(start + size));
  return {
    value: items.slice(start, start + size),
    nextLink: start + size < items.length ? next.href : null,
  };
}
