/**
 * One call from start to answer, in ARM's order: token, throttle, path, api-version, rights, registration, existence
 * of what it hangs on, then the provider. Over 300 lines because these steps read best as one story.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Principal } from '../../neighbours.ts';
import type { CallContext } from '../../world.ts';
import { requireUnlocked } from '../locks.ts';
import { noteActivity } from './activity.ts';
import { type Cause, reportChange } from './audit.ts';
import type { Frame } from './frame.ts';
import { isJson, type Json, withMember } from './json.ts';
import { answerOperation, OPERATION_TYPE } from './operation-answers.ts';
import { Refusal } from './refusal.ts';
import { parseBody } from './request-body.ts';
import type { Action, Call, Change, OperationStyle, ResourceType, Stored } from './resource-type.ts';
import {
  canonicalId,
  isGroup,
  isSubscription,
  noSuchPath,
  parentOf,
  permissionOf,
  RESOURCE_GROUPS,
  routeOf,
} from './route.ts';
import { groupIdOf, lastName, parentIdOf, parseTarget, sameId } from './target.ts';
import { Throttle } from './throttle.ts';

const AUDIENCES = ['https://management.azure.com', 'https://management.core.windows.net'];
interface Exchange {
  readonly request: Request;
  readonly url: URL;
  readonly principal: Principal;
  readonly correlationId: string;
}

export class Dispatcher {
  readonly #frame: Frame;
  readonly #throttle: Throttle;

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#throttle = new Throttle(frame.world.clock);
  }

  async fetch(request: Request, context: CallContext): Promise<Response> {
    const correlationId = request.headers.get('x-ms-correlation-request-id') ?? randomUUID();
    const now = this.#frame.world.clock.now();
    const headers: Record<string, string> = {
      'x-ms-request-id': randomUUID(),
      'x-ms-correlation-request-id': correlationId,
      'x-ms-routing-request-id': `SANDBOX:${new Date(now).toISOString()}:${randomUUID()}`,
      'cache-control': 'no-cache',
      date: new Date(now).toUTCString(),
    };
    const clientRequestId = request.headers.get('x-ms-client-request-id');
    if (clientRequestId) headers['x-ms-client-request-id'] = clientRequestId;
    let response: Response;
    try {
      await this.#frame.operations.settle();
      const principal = this.#authenticate(request);
      context.caller = principal.displayName;
      const { subscriptionId } = this.#frame.world.settings;
      Object.assign(headers, this.#throttle.take(principal.id, request.method, subscriptionId));
      response = await this.#answer({ request, url: new URL(request.url), principal, correlationId });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      response = error.toResponse();
    }
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
    return response;
  }

  #authenticate(request: Request): Principal {
    const verified = this.#frame.neighbours.directory.verifyToken(
      request.headers.get('authorization'),
      AUDIENCES,
    );
    if (verified.ok) return verified.principal;
    const { tenantId } = this.#frame.world.settings;
    throw new Refusal(401, verified.code, verified.reason, {
      headers: {
        'www-authenticate':
          `Bearer authorization_uri="https://login.microsoftonline.com/${tenantId}", error="invalid_token", ` +
          `error_description="${verified.reason.replaceAll('"', "'")}"`,
      },
    });
  }

  async #answer(exchange: Exchange): Promise<Response> {
    const { request, url, principal } = exchange;
    const parsed = parseTarget(url.pathname, request.method);
    if (!parsed) throw noSuchPath(url.pathname);
    this.#requireSubscription(url.pathname);
    if (OPERATION_TYPE.test(parsed.type)) return answerOperation(this.#frame, exchange, parsed);
    const { type, target, action } = routeOf(this.#frame, parsed);
    const apiVersion = this.#frame.catalogue.requireApiVersion(type, url.searchParams.get('api-version'));
    const id = canonicalId(this.#frame, target.kind === 'collection' ? parentOf(target) : target);
    const permission = permissionOf(type, target, action, request.method);
    const isFilteredList = target.kind === 'collection' && isSubscription(target.scope);
    const role =
      target.kind === 'collection' && (isFilteredList || target.scope === '')
        ? undefined
        : this.#frame.rights.require(principal, permission, id);
    if (type.scope !== 'tenant') this.#frame.catalogue.requireRegistered(type);
    const call: Call = {
      frame: this.#frame,
      target,
      id,
      name: target.names.at(-1) ?? '',
      parentId: target.kind === 'collection' ? id : parentIdOf(id),
      caller: principal,
      apiVersion,
      url,
      now: this.#frame.world.clock.now(),
      requireLinked: (linkedAction, linkedScope) =>
        this.#frame.rights.requireLinked(principal, permission, id, linkedAction, linkedScope),
    };
    if (request.method === 'GET' || request.method === 'HEAD') {
      if (target.kind === 'collection') return this.#list(call, type, permission, isFilteredList);
      return this.#get(call, type, request.method);
    }
    const cause: Cause = {
      principalId: principal.id,
      ...(principal.appId !== undefined && { appId: principal.appId }),
      principalKind: principal.kind,
      correlationId: exchange.correlationId,
      clientRequestId: request.headers.get('x-ms-client-request-id') ?? '',
      method: request.method,
      url: request.url,
      action: permission,
      ...(role && { role }),
    };
    noteActivity(this.#frame.world, cause, id, 'Started');
    try {
      return await this.#change(call, type, cause, request, action);
    } catch (error) {
      if (error instanceof Refusal) reportChange(this.#frame.world, cause, id, 'Failure');
      throw error;
    }
  }

  #requireSubscription(path: string): void {
    const named = /^\/subscriptions\/([^/]+)/i.exec(path)?.[1];
    const { subscriptionId, tenantId } = this.#frame.world.settings;
    if (named === undefined || sameId(named, subscriptionId)) return;
    throw new Refusal(
      404,
      'SubscriptionNotFound',
      `The subscription '${named}' could not be found in the tenant '${tenantId}'.`,
    );
  }

  #get(call: Call, type: ResourceType, method: string): Response {
    const shown = type.get ? type.get(call) : this.#showStored(call);
    if (method === 'HEAD') return new Response(null, { status: shown ? 204 : 404 });
    if (!shown) throw this.#notFound(call);
    return Response.json(shown);
  }

  #showStored(call: Call): Json | undefined {
    const stored = this.#frame.store.get(call.id);
    return stored && this.#frame.show(stored);
  }

  #list(call: Call, type: ResourceType, permission: string, isFiltered: boolean): Response {
    const { target } = call;
    if (!isFiltered && target.scope !== '') this.#requireParent(call);
    if (type.document) return Response.json(type.document(call));
    const isAllowed = (item: Json): boolean =>
      !isFiltered || this.#frame.rights.isAllowed(call.caller.id, String(item['id']), { action: permission });
    const items =
      type.list?.(call) ??
      this.#frame.store
        .ofType(type.type, call.id)
        .filter(({ id }) => target.names.length === 0 || sameId(parentIdOf(id), call.id))
        .map((stored) => this.#frame.show(stored));
    return Response.json({ value: items.filter(isAllowed) });
  }

  async #change(
    call: Call,
    type: ResourceType,
    cause: Cause,
    request: Request,
    action: Action | undefined,
  ): Promise<Response> {
    if (request.method !== 'POST') requireUnlocked(this.#frame, call.id, request.method === 'DELETE');
    if (request.method === 'DELETE') {
      if (!type.remove) throw notAllowed(request.method, type);
      return this.#remove(call, type, cause, request);
    }
    const body = await readJson(request);
    const stored = this.#frame.store.get(call.id);
    if (action) return this.#act(call, type, cause, action, parseBody(action.body ?? anyJson, body), stored);
    if (request.method === 'PUT' && type.body && type.put) {
      this.#requireParent(call);
      this.#requireName(call, type);
      this.#requireMatch(request, stored);
      this.#requireIdle(type, call, stored);
      const input = parseBody(type.body, body);
      requireSameLocation(type, call, input, stored);
      return this.#write(call, type, cause, 'put', type.put(call, input, stored), stored);
    }
    if (request.method === 'PATCH' && type.patchBody && type.patch) {
      if (!stored) throw this.#notFound(call);
      this.#requireMatch(request, stored);
      this.#requireIdle(type, call, stored);
      const change = type.patch(call, parseBody(type.patchBody, body), stored);
      return this.#write(call, type, cause, 'patch', change, stored);
    }
    throw notAllowed(request.method, type);
  }

  #write(
    call: Call,
    type: ResourceType,
    cause: Cause,
    verb: 'put' | 'patch',
    change: Change,
    before: Stored | undefined,
  ): Response {
    const { store, world } = this.#frame;
    const words = type.state;
    const during = before ? words?.updating : words?.creating;
    const style = type.operations?.style ?? 'azure-async-operation';
    const operation =
      change.takes === undefined
        ? undefined
        : this.#startOperation(call, type, cause, verb, style, change.takes, change.input ?? {}, true);
    const state = operation ? during : words?.succeeded;
    const stored = store.put(call.id, type.type, {
      body: words && state !== undefined ? withMember(change.body, words.path, state) : change.body,
      ...(change.hidden && { hidden: change.hidden }),
      operationId: operation?.id,
    });
    if (!operation) {
      reportChange(world, cause, stored.id, 'Success');
      world.touch();
      return Response.json(this.#frame.show(stored), { status: before || type.isBuiltIn ? 200 : 201 });
    }
    const status =
      style === 'location'
        ? 202
        : before
          ? (type.operations?.updateStatus ?? 200)
          : (type.operations?.createStatus ?? 201);
    return this.#accepted(call, type, operation.id, style, status, this.#frame.show(stored));
  }

  async #remove(call: Call, type: ResourceType, cause: Cause, request: Request): Promise<Response> {
    const stored = this.#frame.store.get(call.id);
    if (!stored) {
      const group = groupIdOf(call.id);
      if (group && group.length < call.id.length && !this.#frame.store.get(group)) throw groupNotFound(group);
      if (type.type === RESOURCE_GROUPS) throw groupNotFound(call.id);
      return new Response(null, { status: 204 });
    }
    this.#requireMatch(request, stored);
    this.#requireIdle(type, call, stored);
    const { takes, input } = type.remove?.(call, stored) ?? {};
    if (takes === undefined) {
      const shown = this.#frame.show(stored);
      await this.#frame.removeNow(stored.id);
      reportChange(this.#frame.world, cause, stored.id, 'Success');
      this.#frame.world.touch();
      return Response.json(shown);
    }
    const style = type.operations?.style ?? 'azure-async-operation';
    const operation = this.#startOperation(call, type, cause, 'delete', style, takes, input ?? {}, true);
    const words = type.state;
    this.#frame.store.put(stored.id, stored.type, {
      body: words ? withMember(stored.body, words.path, words.deleting) : stored.body,
      operationId: operation.id,
    });
    return this.#accepted(call, type, operation.id, style, 202, undefined);
  }

  #act(
    call: Call,
    type: ResourceType,
    cause: Cause,
    action: Action,
    input: Json,
    stored: Stored | undefined,
  ): Response {
    const isOnResource = call.target.names.length > 0 && !type.get && !/\/locations$/i.test(type.type);
    if (isOnResource && !stored) throw this.#notFound(call);
    const outcome = action.run(call, input, stored);
    if ('now' in outcome) {
      reportChange(this.#frame.world, cause, call.id, 'Success');
      this.#frame.world.touch();
      return outcome.now === undefined
        ? new Response(null, { status: outcome.status ?? 200 })
        : Response.json(outcome.now, { status: outcome.status ?? 200 });
    }
    const occupies = outcome.during !== undefined;
    if (occupies) this.#requireIdle(type, call, stored);
    const style = outcome.style ?? 'location';
    const verb = call.target.action ?? '';
    const operation = this.#startOperation(
      call,
      type,
      cause,
      verb,
      style,
      outcome.takes,
      outcome.input ?? {},
      occupies,
    );
    if (stored && occupies && type.state) {
      this.#frame.store.put(stored.id, stored.type, {
        body: withMember(stored.body, type.state.path, outcome.during),
        operationId: operation.id,
      });
    }
    const accepted = this.#accepted(call, type, operation.id, style, 202, undefined);
    if (outcome.resultsAt !== undefined) {
      const url = `${call.url.origin}${outcome.resultsAt}/${operation.id}?api-version=${call.apiVersion}`;
      accepted.headers.set('location', url);
    }
    return accepted;
  }

  #startOperation(
    call: Call,
    type: ResourceType,
    cause: Cause,
    verb: string,
    style: OperationStyle,
    takes: number,
    input: Json,
    occupies: boolean,
  ): { id: string } {
    const fault = this.#frame.world.faults.strike(
      { service: 'arm', method: cause.method, target: call.url.host + call.url.pathname + call.url.search },
      ['operation-fails'],
    );
    noteActivity(this.#frame.world, cause, call.id, 'Accepted');
    return this.#frame.operations.start({
      resourceId: call.id,
      type: type.type,
      verb,
      style,
      takes,
      input,
      occupies,
      apiVersion: call.apiVersion,
      cause,
      ...(fault?.kind === 'operation-fails' && {
        failsWith: { code: fault.code, message: fault.message },
      }),
    });
  }

  #accepted(
    call: Call,
    type: ResourceType,
    operationId: string,
    style: OperationStyle,
    status: number,
    shown: Json | undefined,
  ): Response {
    const namespace = type.type.split('/')[0];
    const location = this.#locationOf(call);
    const url = (word: string): string =>
      `${call.url.origin}${this.#frame.subscriptionScope}/providers/${namespace}/locations/${location}/${word}/` +
      `${operationId}?api-version=${call.apiVersion}`;
    const headers: Record<string, string> = {
      'retry-after': String(type.operations?.retryAfterSeconds ?? 10),
    };
    if (style === 'azure-async-operation') headers['azure-asyncoperation'] = url('operations');
    if (style === 'location' || status === 202) headers['location'] = url('operationResults');
    return shown && style !== 'location'
      ? Response.json(shown, { status, headers })
      : new Response(null, { status, headers });
  }

  #locationOf(call: Call): string {
    for (let id = call.id; id.includes('/providers/'); id = parentIdOf(id)) {
      const location = this.#frame.store.get(id)?.body['location'];
      if (typeof location === 'string') return location;
    }
    return 'global';
  }

  #requireParent(call: Call): void {
    const group = groupIdOf(call.parentId);
    if (group) {
      const found = this.#frame.store.get(group);
      if (!found) throw groupNotFound(group);
      if (found.operationId !== undefined && !sameId(call.id, group)) {
        throw new Refusal(
          409,
          'ResourceGroupBeingDeleted',
          `The resource group '${found.name}' is in deprovisioning state and cannot perform this operation.`,
        );
      }
    }
    const isScope = call.parentId === '' || isSubscription(call.parentId) || isGroup(call.parentId);
    // A parent that is no stored resource is one of a kind that always exists (`fileServices/default`).
    if (isScope || this.#frame.store.get(call.parentId) || this.#isVirtual(call.parentId)) return;
    throw new Refusal(
      404,
      'ParentResourceNotFound',
      `Can not perform requested operation on nested resource. Parent resource '${lastName(call.parentId)}' not found.`,
    );
  }

  #isVirtual(id: string): boolean {
    const target = parseTarget(id, 'GET');
    const type = target && this.#frame.catalogue.find(target.type);
    if (!type?.get) return false;
    const grandparent = parentIdOf(id);
    return (
      isGroup(grandparent) || isSubscription(grandparent) || this.#frame.store.get(grandparent) !== undefined
    );
  }

  #requireName(call: Call, type: ResourceType): void {
    if (!type.name || type.name.pattern.test(call.name)) return;
    throw new Refusal(400, type.name.code, type.name.message.replaceAll('{name}', call.name));
  }

  #requireMatch(request: Request, stored: Stored | undefined): void {
    const ifMatch = request.headers.get('if-match');
    const ifNoneMatch = request.headers.get('if-none-match');
    const hasMatch = stored && (ifMatch === '*' || ifMatch?.includes(stored.etag));
    if ((ifMatch && !hasMatch) || (ifNoneMatch === '*' && stored)) {
      throw new Refusal(
        412,
        'PreconditionFailed',
        `The condition specified by the ETag is not satisfied. Current: '${stored ? `W/"${stored.etag}"` : 'none'}'.`,
      );
    }
  }

  #requireIdle(type: ResourceType, call: Call, stored: Stored | undefined): void {
    const busy = type.busy;
    const family = busy?.family
      ? [this.#frame.store.get(rootOf(call.id)), ...this.#frame.store.within(rootOf(call.id))]
      : [stored];
    const occupied = family.find((member) => member?.operationId !== undefined);
    if (!occupied) return;
    const message =
      busy?.message ?? "Another operation on '{name}' is in progress. Retry after it has ended.";
    throw new Refusal(
      busy?.status ?? 409,
      busy?.code ?? 'AnotherOperationInProgress',
      message
        .replaceAll('{name}', occupied.name)
        .replaceAll('{state}', String(this.#frame.stateOf(occupied))),
      busy?.status === 429 ? { headers: { 'retry-after': '10' } } : {},
    );
  }

  #notFound(call: Call): Refusal {
    const group = groupIdOf(call.id);
    if (group && !this.#frame.store.get(group)) return groupNotFound(group);
    const place = group ? `under resource group '${lastName(group)}' ` : '';
    const [namespace = '', ...path] = call.target.type.split('/');
    const name = path.map((segment, index) => `${segment}/${call.target.names[index] ?? ''}`).join('/');
    return new Refusal(
      404,
      'ResourceNotFound',
      `The Resource '${namespace}/${name}' ${place}was not found. For more details please go to ` +
        'https://aka.ms/ARMResourceNotFoundFix',
    );
  }
}

const anyJson = z.looseObject({});

/** Top resource of a child: `…/flexibleServers/x` of `…/flexibleServers/x/databases/y`. */
function rootOf(id: string): string {
  return /^.*\/providers\/[^/]+\/[^/]+\/[^/]+/i.exec(id)?.[0] ?? id;
}

async function readJson(request: Request): Promise<unknown> {
  const text = await request.text();
  if (text === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isJson(value)) return value;
  } catch {
    // Answered below, like JSON that is not an object.
  }
  throw new Refusal(400, 'InvalidRequestContent', 'The request content was not a valid JSON object.');
}

function requireSameLocation(type: ResourceType, call: Call, input: Json, stored: Stored | undefined): void {
  const before = stored?.body['location'];
  const wanted = input['location'];
  if (!type.tracked || before === undefined || wanted === undefined || before === wanted) return;
  throw new Refusal(
    409,
    'InvalidResourceLocation',
    `The resource '${call.name}' already exists in location '${before}' in resource group ` +
      `'${lastName(groupIdOf(call.id) ?? '')}'. A resource with the same name cannot be created in location ` +
      `'${wanted}'. Please select a new resource name.`,
  );
}

function notAllowed(method: string, type: ResourceType): Refusal {
  return new Refusal(
    405,
    'HttpMethodNotAllowed',
    `The resource type '${type.type}' does not support the method ${method}.`,
  );
}

function groupNotFound(id: string): Refusal {
  return new Refusal(404, 'ResourceGroupNotFound', `Resource group '${lastName(id)}' could not be found.`);
}
