/** Every resource type there is, and which providers the subscription has registered. */
import type { Table } from '../../world.ts';
import { durations } from '../durations.ts';
import type { Frame } from './frame.ts';
import type { Json } from './json.ts';
import { Refusal } from './refusal.ts';
import type { ResourceType } from './resource-type.ts';

type Registration = 'NotRegistered' | 'Registering' | 'Registered' | 'Unregistering';

/** Registered in every subscription, and not to be unregistered. */
const ALWAYS_REGISTERED = ['Microsoft.Authorization', 'Microsoft.Resources'];

export class Catalogue {
  readonly #frame: Frame;
  readonly #types = new Map<string, ResourceType>();
  readonly #registrations: Table<{ state: Registration; until?: number }>;

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#registrations = frame.world.table('arm/providers');
  }

  add(types: readonly ResourceType[]): void {
    for (const type of types) this.#types.set(type.type.toLowerCase(), type);
  }

  find(type: string): ResourceType | undefined {
    return this.#types.get(type.toLowerCase());
  }

  /** Throws on a type that nobody added: stored resources always have one. */
  typeOf(type: string): ResourceType {
    const found = this.find(type);
    if (!found) throw new Error(`no provider knows the type ${type}`);
    return found;
  }

  namespaces(): string[] {
    return [...new Set([...this.#types.values()].map(({ type }) => type.split('/')[0] ?? ''))].sort();
  }

  /** The provider's own spelling; refuses a namespace nobody has. */
  namespaceOf(name: string): string {
    const found = this.namespaces().find((namespace) => namespace.toLowerCase() === name.toLowerCase());
    if (found) return found;
    throw new Refusal(
      404,
      'InvalidResourceNamespace',
      `The resource namespace '${name}' is invalid, or the sandbox does not have it.`,
    );
  }

  /** Refuses a call without an api-version, or with one that the type does not have. */
  requireApiVersion(type: ResourceType, version: string | null): string {
    if (!version) {
      throw new Refusal(
        400,
        'MissingApiVersionParameter',
        'The api-version query parameter (?api-version=) is required for all requests.',
      );
    }
    if (type.apiVersions.includes(version)) return version;
    const [namespace = '', ...path] = type.type.split('/');
    throw new Refusal(
      400,
      'NoRegisteredProviderFound',
      `No registered resource provider found for API version '${version}' for type '${path.join('/')}' of ` +
        `'${namespace}'. The supported api-versions are '${type.apiVersions.join(', ')}'.`,
    );
  }

  registration(namespace: string): Registration {
    if (ALWAYS_REGISTERED.includes(namespace)) return 'Registered';
    const found = this.#registrations.get(namespace);
    if (!found) return 'Registered';
    if (found.until === undefined || found.until > this.#frame.world.clock.now()) return found.state;
    return found.state === 'Registering' ? 'Registered' : 'NotRegistered';
  }

  register(namespace: string, wanted: 'Registered' | 'NotRegistered'): void {
    if (ALWAYS_REGISTERED.includes(namespace) || this.registration(namespace) === wanted) return;
    const until = this.#frame.world.clock.now() + durations.providerRegistration;
    this.#registrations.set(namespace, {
      state: wanted === 'Registered' ? 'Registering' : 'Unregistering',
      until,
    });
    this.#frame.operations.touchAt(until);
  }

  requireRegistered(type: ResourceType): void {
    const namespace = type.type.split('/')[0] ?? '';
    if (this.registration(namespace) === 'Registered') return;
    throw new Refusal(
      409,
      'MissingSubscriptionRegistration',
      `The subscription is not registered to use namespace '${namespace}'. See https://aka.ms/rps-not-found for how ` +
        'to register subscriptions.',
      {
        details: [
          {
            code: 'MissingSubscriptionRegistration',
            target: namespace,
            message: `The subscription is not registered to use namespace '${namespace}'.`,
          },
        ],
      },
    );
  }

  /** What `GET …/providers/<namespace>` shows. */
  describe(namespace: string): Json {
    return {
      id: `/subscriptions/${this.#frame.world.settings.subscriptionId}/providers/${namespace}`,
      namespace,
      registrationPolicy: ALWAYS_REGISTERED.includes(namespace) ? 'RegistrationFree' : 'RegistrationRequired',
      registrationState: this.registration(namespace),
      resourceTypes: [...this.#types.values()]
        .filter(({ type }) => type.startsWith(`${namespace}/`))
        .map(({ type, apiVersions }) => ({
          resourceType: type.slice(namespace.length + 1),
          locations: [],
          apiVersions,
        })),
    };
  }
}
