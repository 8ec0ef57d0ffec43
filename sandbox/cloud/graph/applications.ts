/**
 * Graph's `/applications`: registrations, their secrets and owners, and what of them lies in the recycle bin.
 * Long because the body schema spells out every property: what it does not name is refused.
 * https://learn.microsoft.com/graph/api/resources/application
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import type { World } from '../world.ts';
import type { GraphCaller } from './caller.ts';
import type { AuditTarget } from './directory-audits.ts';
import type { GraphEnv } from './graph-env.ts';
import { badRequest, bodyOf, collection, entity, GraphError, notFound } from './request.ts';
import {
  type Application,
  hashOfSecret,
  type PasswordCredential,
  type TenantObjects,
} from './tenant-objects.ts';

/** Without an end a secret lives two years. */
const DEFAULT_SECRET_YEARS = 2;
/** Deleted applications can be restored for 30 days. */
const RECYCLE_MILLISECONDS = 30 * 86_400_000;
/** As the audit log names it, to the space at its end. */
const PASSWORDS_CHANGED = 'Update application – Certificates and secrets management ';
const READ_ONLY = new Set(['id', 'appId', 'createdDateTime', 'deletedDateTime', 'publisherDomain']);

const uris = z.array(z.url()).max(256);
const applicationBody = z.strictObject({
  displayName: z.string().min(1).max(256),
  description: z.string().max(1024).nullish(),
  notes: z.string().nullish(),
  uniqueName: z.string().max(120).nullish(),
  signInAudience: z
    .enum([
      'AzureADMyOrg',
      'AzureADMultipleOrgs',
      'AzureADandPersonalMicrosoftAccount',
      'PersonalMicrosoftAccount',
    ])
    .default('AzureADandPersonalMicrosoftAccount'),
  web: z
    .strictObject({
      redirectUris: uris.optional(),
      homePageUrl: z.url().nullish(),
      logoutUrl: z.url().nullish(),
      implicitGrantSettings: z
        .strictObject({
          enableIdTokenIssuance: z.boolean().nullish(),
          enableAccessTokenIssuance: z.boolean().nullish(),
        })
        .optional(),
      redirectUriSettings: z.array(z.strictObject({ uri: z.url(), index: z.number().nullish() })).optional(),
    })
    .optional(),
  spa: z.strictObject({ redirectUris: uris }).optional(),
  publicClient: z.strictObject({ redirectUris: z.array(z.string()) }).optional(),
  requiredResourceAccess: z
    .array(
      z.strictObject({
        resourceAppId: z.guid(),
        resourceAccess: z.array(z.strictObject({ id: z.guid(), type: z.enum(['Scope', 'Role']) })).min(1),
      }),
    )
    .optional(),
  identifierUris: z.array(z.string()).optional(),
  tags: z.array(z.string().max(256)).optional(),
  api: z.looseObject({}).nullish(),
  appRoles: z.array(z.looseObject({})).optional(),
  info: z.looseObject({}).nullish(),
  optionalClaims: z.looseObject({}).nullish(),
  groupMembershipClaims: z.string().nullish(),
  isFallbackPublicClient: z.boolean().nullish(),
  isDeviceOnlyAuthSupported: z.boolean().nullish(),
  serviceManagementReference: z.string().nullish(),
  'owners@odata.bind': z.array(z.string()).optional(),
});
const applicationChange = applicationBody.extend({ signInAudience: z.string() }).partial();
const passwordBody = z.strictObject({
  passwordCredential: z
    .strictObject({
      displayName: z.string().max(90).nullish(),
      startDateTime: z.iso.datetime({ offset: true }).nullish(),
      endDateTime: z.iso.datetime({ offset: true }).nullish(),
    })
    .nullish(),
});

export class Applications {
  readonly #world: World;
  readonly #objects: TenantObjects;

  constructor(world: World, objects: TenantObjects) {
    this.#world = world;
    this.#objects = objects;
  }

  routes(): Hono<GraphEnv> {
    const routes = new Hono<GraphEnv>();
    routes.get('/', (context) => {
      context.var.caller.requireReadingApplications();
      const found = this.#objects.applications
        .values()
        .filter(
          (application) => application.deletedAt === undefined && this.#objects.isReplicated(application),
        );
      return collection(
        new URL(context.req.url),
        'applications',
        found.map((application) => this.#show(application)),
      );
    });
    routes.post('/', async (context) => {
      context.var.caller.require('Application.ReadWrite.OwnedBy', 'Application.ReadWrite.All');
      const body = await bodyOf(context.req.raw, applicationBody);
      const application = this.#create(body, context.var.caller);
      return entity(new URL(context.req.url), 'applications', this.#show(application), 201);
    });
    routes.get('/:key', (context) => {
      context.var.caller.requireReadingApplications();
      return entity(
        new URL(context.req.url),
        'applications',
        this.#show(this.#get(context.req.param('key'))),
      );
    });
    routes.patch('/:key', async (context) => {
      const key = context.req.param('key');
      const { caller } = context.var;
      const [, uniqueName] = /^uniqueName='(.+)'$/.exec(key) ?? [];
      const isUpsert = /(^|,)\s*create-if-missing\s*(,|$)/.test(context.req.header('prefer') ?? '');
      if (uniqueName !== undefined && isUpsert && !this.#objects.findApplication({ uniqueName })) {
        caller.require('Application.ReadWrite.OwnedBy', 'Application.ReadWrite.All');
        const body = await bodyOf(context.req.raw, applicationBody);
        const application = this.#create({ ...body, uniqueName }, caller);
        return entity(new URL(context.req.url), 'applications', this.#show(application), 201);
      }
      const application = this.#get(key);
      caller.requireOwnership(application);
      const changes = await bodyOf(context.req.raw, applicationChange);
      if (changes.uniqueName !== undefined && changes.uniqueName !== application.properties['uniqueName']) {
        throw badRequest('Property uniqueName is read-only and cannot be set.');
      }
      this.#put({ ...application, properties: merge(application.properties, changes) });
      caller.did('Update application', targetOf(application));
      return context.body(null, 204);
    });
    routes.delete('/:key', (context) => {
      const application = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(application);
      const deletedAt = this.#world.clock.now();
      this.#put({ ...application, deletedAt });
      for (const principal of this.#objects.servicePrincipals.values()) {
        if (principal.appId === application.appId && principal.deletedAt === undefined) {
          this.#objects.servicePrincipals.set(principal.id, { ...principal, deletedAt });
          this.#objects.removeGrantsOf(principal.id);
        }
      }
      context.var.caller.did('Delete application', targetOf(application));
      return context.body(null, 204);
    });
    this.#addPasswordRoutes(routes);
    this.#addOwnerRoutes(routes);
    return routes;
  }

  /** `/directory/deletedItems`, for applications. */
  deletedItems(): Hono<GraphEnv> {
    const routes = new Hono<GraphEnv>();
    const find = (id: string): Application => {
      const found = this.#objects.applications.get(id.toLowerCase());
      const isThere =
        found?.deletedAt !== undefined && this.#world.clock.now() - found.deletedAt < RECYCLE_MILLISECONDS;
      if (!found || !isThere) throw notFound(id);
      return found;
    };
    routes.get('/microsoft.graph.application', (context) => {
      context.var.caller.requireReadingApplications();
      const found = this.#objects.applications
        .values()
        .filter(
          ({ deletedAt }) =>
            deletedAt !== undefined && this.#world.clock.now() - deletedAt < RECYCLE_MILLISECONDS,
        );
      return collection(
        new URL(context.req.url),
        'applications',
        found.map((application) => this.#show(application)),
      );
    });
    routes.get('/:id', (context) => {
      context.var.caller.requireReadingApplications();
      return entity(new URL(context.req.url), 'directoryObjects', this.#show(find(context.req.param('id'))));
    });
    routes.post('/:id/restore', (context) => {
      const { deletedAt: _, ...application } = find(context.req.param('id'));
      context.var.caller.requireOwnership(application);
      this.#put(application);
      for (const principal of this.#objects.servicePrincipals.values()) {
        if (principal.appId === application.appId && principal.type === 'Application') {
          const { deletedAt: __, ...restored } = principal;
          this.#objects.servicePrincipals.set(principal.id, restored);
        }
      }
      context.var.caller.did('Restore application', targetOf(application));
      return entity(new URL(context.req.url), 'directoryObjects', this.#show(application));
    });
    routes.delete('/:id', (context) => {
      const application = find(context.req.param('id'));
      context.var.caller.requireOwnership(application);
      this.#objects.applications.delete(application.id);
      context.var.caller.did('Hard Delete application', targetOf(application));
      return context.body(null, 204);
    });
    return routes;
  }

  #addPasswordRoutes(routes: Hono<GraphEnv>): void {
    routes.post('/:key/addPassword', async (context) => {
      const application = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(application);
      const { passwordCredential } = await bodyOf(context.req.raw, passwordBody);
      const now = this.#world.clock.now();
      const start = new Date(passwordCredential?.startDateTime ?? now);
      const end = new Date(passwordCredential?.endDateTime ?? start);
      if (!passwordCredential?.endDateTime) end.setUTCFullYear(end.getUTCFullYear() + DEFAULT_SECRET_YEARS);
      if (end <= start) {
        throw badRequest("New password credential's end date must be after its start date.", {
          code: 'InvalidValue',
          target: 'endDateTime',
        });
      }
      const secretText = `${randomBytes(2).toString('hex').slice(0, 3)}8Q~${randomBytes(25).toString('base64url').slice(0, 34)}`;
      const credential: PasswordCredential = {
        keyId: randomUUID(),
        displayName: passwordCredential?.displayName ?? null,
        startDateTime: start.toISOString(),
        endDateTime: end.toISOString(),
        hint: secretText.slice(0, 3),
        hash: hashOfSecret(secretText),
        createdAt: now,
      };
      this.#put({ ...application, passwordCredentials: [...application.passwordCredentials, credential] });
      context.var.caller.did(PASSWORDS_CHANGED, targetOf(application));
      return context.json({
        '@odata.context': 'https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.passwordCredential',
        ...showCredential(credential),
        secretText,
      });
    });
    routes.post('/:key/removePassword', async (context) => {
      const application = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(application);
      const { keyId } = await bodyOf(context.req.raw, z.strictObject({ keyId: z.guid() }));
      const kept = application.passwordCredentials.filter(
        (credential) => credential.keyId !== keyId.toLowerCase(),
      );
      if (kept.length === application.passwordCredentials.length) {
        throw badRequest('No password credential found with keyId.', {
          code: 'InvalidValue',
          target: 'keyId',
        });
      }
      this.#put({ ...application, passwordCredentials: kept });
      context.var.caller.did(PASSWORDS_CHANGED, targetOf(application));
      return context.body(null, 204);
    });
  }

  #addOwnerRoutes(routes: Hono<GraphEnv>): void {
    routes.get('/:key/owners', (context) => {
      context.var.caller.requireReadingApplications();
      const application = this.#get(context.req.param('key'));
      return collection(
        new URL(context.req.url),
        'directoryObjects',
        application.ownerIds.map((id) => ({ id })),
      );
    });
    routes.post('/:key/owners/$ref', async (context) => {
      const application = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(application);
      const body = await bodyOf(context.req.raw, z.strictObject({ '@odata.id': z.url() }));
      const id = /\/(?:directoryObjects|servicePrincipals|users)\/([0-9a-f-]{36})$/i.exec(
        body['@odata.id'],
      )?.[1];
      if (id === undefined) throw badRequest("Invalid value specified for property '@odata.id'.");
      if (application.ownerIds.includes(id)) {
        throw badRequest(
          "One or more added object references already exist for the following modified properties: 'owners'.",
        );
      }
      this.#put({ ...application, ownerIds: [...application.ownerIds, id] });
      context.var.caller.did('Add owner to application', targetOf(application));
      return context.body(null, 204);
    });
    routes.delete('/:key/owners/:owner/$ref', (context) => {
      const application = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(application);
      const owner = context.req.param('owner');
      if (!application.ownerIds.includes(owner)) throw notFound(owner);
      this.#put({ ...application, ownerIds: application.ownerIds.filter((id) => id !== owner) });
      context.var.caller.did('Remove owner from application', targetOf(application));
      return context.body(null, 204);
    });
  }

  #create(body: z.infer<typeof applicationBody>, creator: GraphCaller): Application {
    const { 'owners@odata.bind': _, ...properties } = body;
    if (properties.uniqueName != null) this.#refuseTakenName(properties.uniqueName);
    const application: Application = {
      id: randomUUID(),
      appId: randomUUID(),
      createdAt: this.#world.clock.now(),
      properties: properties,
      passwordCredentials: [],
      // Only an application becomes the owner of what it makes by application permission.
      ownerIds: [creator.principal.id],
    };
    this.#put(application);
    creator.did('Add application', targetOf(application));
    return application;
  }

  /** Uniqueness is judged where the object is written: also against one that no reader finds yet. */
  #refuseTakenName(uniqueName: string): void {
    const isTaken = this.#objects.applications
      .values()
      .some(
        ({ properties, deletedAt }) => properties['uniqueName'] === uniqueName && deletedAt === undefined,
      );
    if (isTaken) {
      throw badRequest('Another object with the same value for property uniqueName already exists.', {
        code: 'ObjectConflict',
        target: 'uniqueName',
      });
    }
  }

  #get(key: string): Application {
    const [, alternate, value] = /^(appId|uniqueName)='(.+)'$/.exec(key) ?? [];
    const found =
      alternate === undefined || value === undefined
        ? this.#objects.findApplication({ id: key })
        : this.#objects.findApplication(alternate === 'appId' ? { appId: value } : { uniqueName: value });
    if (!found) throw notFound(value ?? key);
    return found;
  }

  #put(application: Application): void {
    this.#objects.applications.set(application.id, application);
  }

  #show(application: Application): Record<string, unknown> {
    const { properties } = application;
    const web = z.looseObject({}).catch({}).parse(properties['web']);
    return {
      description: null,
      notes: null,
      uniqueName: null,
      identifierUris: [],
      tags: [],
      appRoles: [],
      requiredResourceAccess: [],
      groupMembershipClaims: null,
      isFallbackPublicClient: null,
      optionalClaims: null,
      serviceManagementReference: null,
      ...properties,
      web: {
        homePageUrl: null,
        logoutUrl: null,
        redirectUris: [],
        redirectUriSettings: [],
        ...web,
        implicitGrantSettings: {
          enableAccessTokenIssuance: false,
          enableIdTokenIssuance: false,
          ...z.looseObject({}).catch({}).parse(web['implicitGrantSettings']),
        },
      },
      spa: { redirectUris: [], ...z.looseObject({}).catch({}).parse(properties['spa']) },
      publicClient: { redirectUris: [], ...z.looseObject({}).catch({}).parse(properties['publicClient']) },
      id: application.id,
      appId: application.appId,
      createdDateTime: new Date(application.createdAt).toISOString(),
      deletedDateTime:
        application.deletedAt === undefined ? null : new Date(application.deletedAt).toISOString(),
      publisherDomain: this.#world.settings.cloudflare.zoneName,
      keyCredentials: [],
      passwordCredentials: application.passwordCredentials
        .filter((credential) => this.#objects.isReplicated(credential))
        .map((credential) => ({ ...showCredential(credential), secretText: null })),
    };
  }
}

const targetOf = ({ id, properties }: Application): AuditTarget => ({
  id,
  type: 'Application',
  displayName: String(properties['displayName']),
});

/** A complex property is merged one level deep, a list is replaced: how Graph's PATCH treats `web` and `tags`. */
function merge(
  before: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(changes)) {
    if (READ_ONLY.has(name))
      throw new GraphError(400, 'Request_BadRequest', `Property '${name}' is read-only.`);
    if (value === undefined) continue;
    const [known, given] = [z.looseObject({}).safeParse(merged[name]), z.looseObject({}).safeParse(value)];
    merged[name] = known.success && given.success ? { ...known.data, ...given.data } : value;
  }
  return merged;
}

function showCredential(credential: PasswordCredential): Record<string, unknown> {
  const { keyId, displayName, startDateTime, endDateTime, hint } = credential;
  return { customKeyIdentifier: null, displayName, endDateTime, hint, keyId, startDateTime };
}
