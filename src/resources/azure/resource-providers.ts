import type { Provider } from '@azure/arm-resources';
import { defineResource } from '../scope.ts';

/** ARM refuses a type whose provider the subscription has never used; registering one takes some minutes. */
export const neededProviders = [
  'Microsoft.Compute',
  'Microsoft.ContainerRegistry',
  'Microsoft.ContainerService',
  'Microsoft.DBforPostgreSQL',
  'Microsoft.EventGrid',
  'Microsoft.KeyVault',
  'Microsoft.ManagedIdentity',
  'Microsoft.Network',
  'Microsoft.Storage',
] as const;

const isNamed = (name: string) => (provider: Provider) =>
  provider.namespace?.toLowerCase() === name.toLowerCase();

export const resourceProviders = defineResource<Record<never, never>, Record<string, never>>({
  key: 'azure/resource-providers',
  title: 'Resource providers',
  dependsOn: {},

  async observe(scope) {
    const known: Provider[] = [];
    for await (const provider of scope.clients.resources().providers.list()) known.push(provider);
    const states = neededProviders.map((name) => ({
      name,
      state: known.find(isNamed(name))?.registrationState ?? 'NotRegistered',
    }));
    // Another deployment may have asked already; registering goes on by itself.
    const isAsked = (state: string): boolean => state === 'Registered' || state === 'Registering';
    const differences = states
      .filter(({ state }) => !isAsked(state))
      .map(({ name, state }) => ({ path: `${name}.registrationState`, wanted: 'Registered', found: state }));
    if (differences.length > 0) return { state: 'drifted', outputs: {}, differences };
    const registering = states.filter(({ state }) => state === 'Registering').map(({ name }) => name);
    return registering.length > 0
      ? { state: 'changing', reason: `registering ${registering.join(', ')}`, retryAfterSeconds: 10 }
      : { state: 'ready', outputs: {} };
  },

  async ensure(scope, _deps, seen) {
    if (seen.state !== 'drifted') return;
    for (const { path } of seen.differences) {
      await scope.clients.resources().providers.register(path.slice(0, path.lastIndexOf('.')));
    }
  },

  /** Others in the subscription may use them. */
  async remove() {},
});
