/** What goes because something else went: dependents of deleted owners, contents of deleted namespaces, custom objects. */
import type { ApiServer } from '../api/api-server.ts';
import {
  apiVersionOf,
  CUSTOM_RESOURCE_DEFINITIONS,
  EVENTS,
  type Kind,
  kindsOf,
  NAMESPACES,
  PODS,
} from '../api/kinds.ts';
import type { CustomResourceDefinition, KubeObject, Namespace } from '../object.ts';
import { timestamp } from '../object.ts';
import type { Controller } from './controller.ts';

export const garbageCollector: Controller = (context) => {
  const { api } = context;
  establishCustomKinds(context);
  emptyNamespaces(api);
  const uids = new Map<string, KubeObject>();
  const dependents: { readonly kind: Kind; readonly object: KubeObject }[] = [];
  for (const kind of api.kinds()) {
    if (kind === EVENTS) continue;
    for (const object of api.list(kind)) {
      uids.set(object.metadata.uid, object);
      if (object.metadata.ownerReferences?.length) dependents.push({ kind, object });
    }
  }
  for (const { kind, object } of dependents) collect(api, kind, object, uids);
  for (const kind of api.kinds()) {
    for (const object of api.list(kind)) finishDeletion(api, kind, object, dependents);
  }
};

function collect(
  api: ApiServer,
  kind: Kind,
  object: KubeObject,
  uids: ReadonlyMap<string, KubeObject>,
): void {
  const references = object.metadata.ownerReferences ?? [];
  const owners = references.map(({ uid }) => uids.get(uid));
  if (owners.some((owner) => owner && !isGoingForeground(owner))) return;
  if (
    owners.every((owner) => owner === undefined) ||
    owners.some((owner) => owner && isGoingForeground(owner))
  ) {
    if (object.metadata.deletionTimestamp !== undefined) return;
    const { namespace = '', name, uid } = object.metadata;
    const isForeground = owners.some((owner) => owner && isGoingForeground(owner));
    if (!api.find(kind, namespace, name)) return;
    api.delete(kind, namespace, name, {
      preconditions: { uid },
      propagationPolicy: isForeground && kind !== PODS ? 'Foreground' : 'Background',
    });
  }
}

function isGoingForeground(object: KubeObject): boolean {
  return (
    object.metadata.deletionTimestamp !== undefined &&
    (object.metadata.finalizers ?? []).includes('foregroundDeletion')
  );
}

/** Takes the two finalizers of the garbage collector off once what they wait for has happened. */
function finishDeletion(
  api: ApiServer,
  kind: Kind,
  object: KubeObject,
  dependents: readonly { readonly kind: Kind; readonly object: KubeObject }[],
): void {
  const { deletionTimestamp, finalizers = [], uid } = object.metadata;
  if (deletionTimestamp === undefined) return;
  const mine = dependents.filter((one) =>
    one.object.metadata.ownerReferences?.some((owner) => owner.uid === uid),
  );
  const without = (name: string): void => {
    api.change(kind, object, (draft) => {
      draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter((finalizer) => finalizer !== name);
    });
  };
  if (finalizers.includes('orphan')) {
    for (const one of mine) {
      api.change(one.kind, one.object, (draft) => {
        draft.metadata.ownerReferences = (draft.metadata.ownerReferences ?? []).filter(
          (owner) => owner.uid !== uid,
        );
      });
    }
    without('orphan');
  }
  if (finalizers.includes('foregroundDeletion')) {
    const left = mine.filter(
      ({ kind: theirs, object: own }) =>
        api.find(theirs, own.metadata.namespace ?? '', own.metadata.name)?.metadata.uid === own.metadata.uid,
    );
    if (left.length === 0) without('foregroundDeletion');
  }
}

function emptyNamespaces(api: ApiServer): void {
  for (const namespace of api.list<Namespace>(NAMESPACES)) {
    if (namespace.metadata.deletionTimestamp === undefined) continue;
    let left = 0;
    for (const kind of api.kinds()) {
      if (!kind.namespaced) continue;
      for (const object of api.list(kind, namespace.metadata.name)) {
        if (object.metadata.deletionTimestamp === undefined) {
          api.delete(kind, namespace.metadata.name, object.metadata.name);
        }
        if (api.find(kind, namespace.metadata.name, object.metadata.name)) left += 1;
      }
    }
    if (left === 0) api.removeNow(NAMESPACES, namespace);
  }
}

function establishCustomKinds({ api, now }: Parameters<Controller>[0]): void {
  for (const definition of api.list<CustomResourceDefinition>(CUSTOM_RESOURCE_DEFINITIONS)) {
    if (definition.metadata.deletionTimestamp !== undefined) {
      removeCustomKind(api, definition);
      continue;
    }
    if (definition.status?.conditions?.length) continue;
    const lastTransitionTime = timestamp(now);
    api.changeStatus(CUSTOM_RESOURCE_DEFINITIONS, definition, (draft) => {
      draft.status = {
        acceptedNames: draft.spec.names,
        storedVersions: draft.spec.versions.filter(({ storage }) => storage).map(({ name }) => name),
        conditions: [
          {
            type: 'NamesAccepted',
            status: 'True',
            reason: 'NoConflicts',
            message: 'no conflicts found',
            lastTransitionTime,
          },
          {
            type: 'Established',
            status: 'True',
            reason: 'InitialNamesAccepted',
            message: 'the initial names have been accepted',
            lastTransitionTime,
          },
        ],
      };
    });
  }
}

function removeCustomKind(api: ApiServer, definition: CustomResourceDefinition): void {
  let left = 0;
  for (const kind of kindsOf(definition)) {
    for (const object of api.list(kind)) {
      const { namespace = '', name } = object.metadata;
      if (object.metadata.deletionTimestamp === undefined) api.delete(kind, namespace, name);
      if (api.find(kind, namespace, name)) left += 1;
    }
  }
  if (left > 0) return;
  api.change(CUSTOM_RESOURCE_DEFINITIONS, definition, (draft) => {
    draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter(
      (name) => name !== 'customresourcecleanup.apiextensions.k8s.io',
    );
  });
}

/** An owner reference to the controller of an object. */
export function controlledBy(
  owner: KubeObject,
  kind: Kind,
): NonNullable<KubeObject['metadata']['ownerReferences']> {
  return [
    {
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      name: owner.metadata.name,
      uid: owner.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ];
}
