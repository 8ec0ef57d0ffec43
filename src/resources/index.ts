/** All resources of a stack, kept by hand in reading order: the table of contents of a deployment. */
import type { Dependencies, Outputs, Resource } from '../graph/resource.ts';
import type { Scope } from './scope.ts';

export type StackResource = Resource<Scope, Dependencies, Outputs>;

export const stack: readonly StackResource[] = [];
