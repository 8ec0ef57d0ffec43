/**
 * What a provider says about one resource type. The frame does what ARM does for all of them (tokens, rights,
 * throttling, api-versions, ids, long operations, events); a type says what its bodies mean.
 */
import type { z } from 'zod';
import type { Principal } from '../../neighbours.ts';
import type { Frame } from './frame.ts';
import type { Json } from './json.ts';
import type { Operation } from './operations.ts';
import type { Target } from './target.ts';

/** A resource as the sandbox keeps it. Times are virtual milliseconds since 1970. */
export interface Stored<Body extends Json = Json, Hidden extends Json = Json> {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  /** What a GET shows, without id, name and type. */
  readonly body: Body;
  /** What the provider knows and never shows: keys, passwords, bookkeeping. */
  readonly hidden: Hidden;
  readonly etag: string;
  readonly createdAt: number;
  readonly changedAt: number;
  /** The operation in flight. */
  readonly operationId?: string;
  /** Why the last operation failed, until another ends well. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** One authorised call. */
export interface Call {
  readonly frame: Frame;
  readonly target: Target;
  /** Id of the resource; of a collection, the id of what it hangs on. */
  readonly id: string;
  readonly name: string;
  readonly parentId: string;
  readonly caller: Principal;
  readonly apiVersion: string;
  readonly url: URL;
  readonly now: number;
  /** Refuses (403 LinkedAuthorizationFailed) unless the caller may also do this to the linked resource. */
  requireLinked(action: string, scope: string): void;
}

export interface Change<Body extends Json = Json, Hidden extends Json = Json> {
  /** Shown from now on; the frame adds the state. */
  readonly body: Body;
  /** Without it, what was hidden stays. */
  readonly hidden?: Hidden;
  /** Virtual milliseconds until it has happened; without it, it has. */
  readonly takes?: number;
  /** Handed to `finish`. */
  readonly input?: Json;
}

export interface Finish {
  readonly body?: Json;
  readonly hidden?: Json;
  /** State word instead of the usual one. */
  readonly state?: string;
  /** What polling gives at the end of an action. */
  readonly result?: Json;
}

export type ActionOutcome =
  | { readonly now: Json | undefined; readonly status?: number }
  | {
      readonly takes: number;
      /** State word of the resource meanwhile; without it the resource is not occupied. */
      readonly during?: string;
      readonly input?: Json;
      readonly style?: OperationStyle;
      /** Id under which the result is found, without the operation's own; the usual place when absent. */
      readonly resultsAt?: string;
    };

export interface Action {
  /** Defaults to `<type>/<action>/action`; `{name}` stands for the resource's name. */
  readonly permission?: string;
  readonly body?: z.ZodType<Json>;
  /** `stored` is undefined only for actions that hang on no resource (`checkNameAvailability`). */
  run(call: Call, input: Json, stored: Stored | undefined): ActionOutcome;
}

/** How a client follows an operation: a status document, or a URL that answers 202 until it is done. */
export type OperationStyle = 'azure-async-operation' | 'location';

export interface StateWords {
  readonly path: readonly string[];
  readonly creating: string;
  readonly updating: string;
  readonly deleting: string;
  readonly succeeded: string;
  readonly failed: string;
}

export const provisioningState: StateWords = {
  path: ['properties', 'provisioningState'],
  creating: 'Creating',
  updating: 'Updating',
  deleting: 'Deleting',
  succeeded: 'Succeeded',
  failed: 'Failed',
};

export interface ResourceType<
  Body extends Json = Json,
  Hidden extends Json = Json,
  Input extends Json = Json,
> {
  /** With the provider's own casing. */
  readonly type: string;
  /** Newest first. */
  readonly apiVersions: readonly string[];
  /** What the first type segment hangs on. */
  readonly scope: 'tenant' | 'subscription' | 'resource-group' | 'any';
  readonly name?: { readonly pattern: RegExp; readonly code: string; readonly message: string };
  /** Has location and tags. */
  readonly tracked?: boolean;
  /** Answers carry a top-level etag. */
  readonly etag?: boolean;
  readonly state?: StateWords;
  readonly operations?: {
    readonly style: OperationStyle;
    readonly retryAfterSeconds: number;
    /** Status of an accepted creation; 201 when absent. */
    readonly createStatus?: number;
    /** Status of an accepted update; 200 when absent. */
    readonly updateStatus?: number;
  };
  /** How the provider says no while an operation is in flight, and on what: the resource, or its whole family. */
  readonly busy?: {
    readonly code: string;
    readonly status?: number;
    readonly message: string;
    readonly family?: boolean;
  };

  /** Made with its parent, so that no PUT creates it (201). */
  readonly isBuiltIn?: true;

  /** Schema of PUT; without it there is no PUT. */
  readonly body?: z.ZodType<Input>;
  put?(call: Call, input: Input, before: Stored<Body, Hidden> | undefined): Change<Body, Hidden>;
  /** Schema of PATCH; without it there is no PATCH. */
  readonly patchBody?: z.ZodType<Json>;
  patch?(call: Call, input: Json, before: Stored<Body, Hidden>): Change<Body, Hidden>;
  /** Present when DELETE exists; refuses by throwing. */
  remove?(call: Call, before: Stored<Body, Hidden>): { readonly takes?: number; readonly input?: Json };
  /** The end of an operation that lasted; may throw a Refusal, and is repeatable: a killed sandbox runs it again. */
  finish?(
    frame: Frame,
    operation: Operation,
    stored: Stored<Body, Hidden>,
  ): Finish | undefined | Promise<Finish | undefined>;
  /** Consequences of an operation that lasted and ended badly. */
  failed?(frame: Frame, operation: Operation, stored: Stored<Body, Hidden>): void;
  /** Consequences of the resource being gone, by its own deletion or that of what it was in. */
  gone?(frame: Frame, stored: Stored<Body, Hidden>): void | Promise<void>;
  /** The body as shown. */
  show?(frame: Frame, stored: Stored<Body, Hidden>): Json;
  /** For types that are not kept as resources. */
  get?(call: Call): Json | undefined;
  list?(call: Call): Json[];
  /** For collections that answer with a document of their own instead of `{value: […]}`. */
  document?(call: Call): Json;
  readonly actions?: Readonly<Record<string, Action>>;
}
