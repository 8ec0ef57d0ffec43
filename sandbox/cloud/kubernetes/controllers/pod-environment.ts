/** The environment of a container: values, references and expansion (pkg/kubelet/kubelet_pods.go). */
import type { ApiServer } from '../api/api-server.ts';
import { CONFIG_MAPS, SECRETS } from '../api/kinds.ts';
import { at, type ConfigMap, type Container, type Pod, type Secret } from '../object.ts';

export type Environment = { readonly env: Record<string, string> } | { readonly missing: string };

/** Missing references are named as the kubelet names them; optional ones are left out. */
export function environmentOf(api: ApiServer, pod: Pod, container: Container): Environment {
  const namespace = pod.metadata.namespace ?? '';
  const env: Record<string, string> = {};
  for (const source of container.envFrom ?? []) {
    const reference = source.secretRef ?? source.configMapRef;
    const name = reference?.name ?? '';
    const data = source.secretRef ? secretData(api, namespace, name) : configData(api, namespace, name);
    if (data === undefined) {
      if (reference?.optional) continue;
      return { missing: `${source.secretRef ? 'secret' : 'configmap'} "${name}" not found` };
    }
    for (const [key, value] of Object.entries(data)) env[(source.prefix ?? '') + key] = value;
  }
  for (const entry of container.env ?? []) {
    if (!entry.valueFrom) {
      env[entry.name] = expand(entry.value ?? '', env);
      continue;
    }
    const { secretKeyRef, configMapKeyRef, fieldRef } = entry.valueFrom;
    const reference = secretKeyRef ?? configMapKeyRef;
    if (reference) {
      const name = reference.name ?? '';
      const data = secretKeyRef ? secretData(api, namespace, name) : configData(api, namespace, name);
      const value = data?.[reference.key];
      if (value !== undefined) env[entry.name] = value;
      else if (reference.optional !== true) {
        const kind = secretKeyRef ? 'Secret' : 'ConfigMap';
        if (data === undefined) return { missing: `${kind.toLowerCase()} "${name}" not found` };
        return { missing: `couldn't find key ${reference.key} in ${kind} ${namespace}/${name}` };
      }
    } else if (fieldRef) {
      env[entry.name] = String(at(pod, ...fieldRef.fieldPath.split('.')) ?? '');
    }
  }
  return { env };
}

/** Decoded; undefined when there is no such Secret. */
export function secretData(
  api: ApiServer,
  namespace: string,
  name: string,
): Record<string, string> | undefined {
  const secret = api.find<Secret>(SECRETS, namespace, name);
  return (
    secret &&
    Object.fromEntries(
      Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    )
  );
}

function configData(api: ApiServer, namespace: string, name: string): Record<string, string> | undefined {
  const map = api.find<ConfigMap>(CONFIG_MAPS, namespace, name);
  return map && { ...map.data };
}

function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]+)\)/g, (found, name?: string) =>
    found === '$$' ? '$' : ((name === undefined ? undefined : env[name]) ?? found),
  );
}
