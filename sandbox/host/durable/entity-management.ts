/** The `entities/` part of the management API. */
import { randomUUID } from 'node:crypto';
import {
  emptyResponse,
  errorResponse,
  type HostRequest,
  type HostResponse,
  jsonResponse,
} from '../http-messages.ts';
import { BadArgumentError } from './client.ts';
import { type EntityRow, findEntity, sendToEntity } from './entities.ts';
import { entityInstanceId, entityKey, entityName } from './entity-id.ts';
import { missingFunctionMessage } from './functions.ts';
import { isoTime } from './history.ts';
import type { TaskHub } from './task-hub.ts';

/** 200 with the entity's state, 404 when it does not exist. `$` stands for the empty key. */
export function getEntity(hub: TaskHub, name: string, key: string): HostResponse {
  const entity = findEntity(hub, entityInstanceId({ name, key: key === '$' ? '' : key }));
  if (!entity?.has_state) return emptyResponse(404);
  return jsonResponse(200, entity.state === null ? null : JSON.parse(entity.state));
}

/** Existing entities, by name and time of their last operation; the state only with `fetchState`. */
export function listEntities(hub: TaskHub, request: HostRequest, name: string | undefined): HostResponse {
  const time = (parameter: string, otherwise: number): number => {
    const at = Date.parse(request.query.get(parameter) ?? '');
    return Number.isNaN(at) ? otherwise : at;
  };
  const limit = Number.parseInt(request.query.get('top') ?? '', 10) || 100;
  const after = request.headers['x-ms-continuation-token'] ?? '';
  const prefix = name ? `@${name.toLowerCase()}@` : '@';
  const found = hub.store.all<EntityRow>(
    `SELECT * FROM entities WHERE has_state = 1 AND substr(id, 1, ?) = ? AND updated BETWEEN ? AND ? AND id > ?
     ORDER BY id LIMIT ?`,
    prefix.length,
    prefix,
    time('lastOperationTimeFrom', Number.MIN_SAFE_INTEGER),
    time('lastOperationTimeTo', Number.MAX_SAFE_INTEGER),
    after,
    limit + 1,
  );
  const page = found.slice(0, limit);
  const showsState = request.query.get('fetchState')?.toLowerCase() === 'true';
  return jsonResponse(
    200,
    page.map((entity) => ({
      entityId: { name: entityName(entity.id), key: entityKey(entity.id) },
      lastOperationTime: isoTime(entity.updated),
      ...(showsState ? { state: entity.state === null ? null : JSON.parse(entity.state) } : {}),
    })),
    { 'x-ms-continuation-token': found.length > limit ? (page.at(-1)?.id ?? '') : '' },
  );
}

/** POST signals the operation `op`, DELETE the operation `delete`: 202. */
export async function deleteOrSignalEntity(
  hub: TaskHub,
  request: HostRequest,
  name: string,
  key: string,
): Promise<HostResponse> {
  if (!hub.functions.find('entity', name)) {
    throw new BadArgumentError(missingFunctionMessage(hub.functions, 'entity', name));
  }
  const text = await request.text();
  const isJson = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() === 'application/json';
  let input: string | null = null;
  try {
    if (text !== '') input = isJson ? JSON.stringify(JSON.parse(text)) : JSON.stringify(text);
  } catch (error) {
    return errorResponse(400, `Could not parse JSON content: ${error instanceof Error ? error.message : ''}`);
  }
  const id = entityInstanceId({ name, key: key === '$' ? '' : key });
  sendToEntity(hub, id, {
    id: randomUUID(),
    parent: '',
    parentExecution: null,
    op: request.method === 'DELETE' ? 'delete' : (request.query.get('op') ?? ''),
    signal: true,
    input,
  });
  hub.wakeEntity(id);
  return emptyResponse(202);
}
