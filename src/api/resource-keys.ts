/** Names of resources in the bodies of requests. */
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { stack } from '../resources/index.ts';

const keys: ReadonlySet<string> = new Set(stack.map(({ key }) => key));

export const isResourceKey = (value: unknown): value is ResourceKey =>
  typeof value === 'string' && keys.has(value);

export const NO_KEY = 'must be the key of a resource, such as azure/postgres-server';

export const resourceKey = z.custom<ResourceKey>(isResourceKey, NO_KEY);
export const resourceKeys = z
  .array(resourceKey, 'must be a list of keys of resources')
  .min(1, 'must name at least one');
