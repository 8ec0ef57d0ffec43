/** The app's durable functions as the durable engine sees them. */
import type { DurableFunctions, DurableKind } from './durable/functions.ts';
import { fromTypedData, type Invocations, triggerType } from './invocations.ts';
import type { RegisteredFunction, Worker } from './worker.ts';

const kinds: Readonly<Record<string, DurableKind>> = {
  orchestrationtrigger: 'orchestrator',
  activitytrigger: 'activity',
  entitytrigger: 'entity',
};

/** Call it when the app is loaded: the set of functions is taken then. */
export function durableFunctions(worker: Worker, invocations: Invocations): DurableFunctions {
  const byKind: Record<DurableKind, Map<string, RegisteredFunction>> = {
    orchestrator: new Map(),
    activity: new Map(),
    entity: new Map(),
  };
  const byName = new Map<string, RegisteredFunction>();
  for (const registered of worker.functions) {
    const kind = kinds[triggerType(registered)];
    if (!kind) continue;
    byKind[kind].set(registered.name.toLowerCase(), registered);
    byName.set(registered.name, registered);
  }
  return {
    find: (kind, name) => byKind[kind].get(name.toLowerCase())?.name,
    names: (kind) => [...byKind[kind].values()].map((registered) => registered.name),
    async invoke(name, { value, instanceId }) {
      const registered = byName.get(name);
      if (!registered) throw new Error(`The function '${name}' is not registered.`);
      const response = await invocations.invoke(registered, {
        value: { string: value },
        metadata: { instanceId: { string: instanceId } },
      });
      return fromTypedData(response.returnValue);
    },
  };
}
