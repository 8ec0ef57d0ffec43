/** The settings of Open WebUI: client and tenant it signs in to, addresses of what it uses, and what the spec adds. */
import { z } from 'zod';
import { WEBUI_CONFIG, webuiSettings } from '../../resources/kubernetes/config.ts';
import type { Check } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf } from './cluster.ts';

const resource = 'kubernetes/config' as const;
const configSchema = z.object({ data: z.record(z.string(), z.string()).default({}) });

export const settingsAsWished: Check = {
  id: 'settings-as-wished',
  system: 'workloads',
  title: 'The settings of Open WebUI are there and as wished',
  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace } = scope.names;
    const found = await api.find({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: WEBUI_CONFIG });
    const repair = repairOf(scope);
    if (!found) {
      return [
        {
          id: 'settings-missing',
          resource,
          severity: 'error',
          what: 'There is no ConfigMap with the settings of Open WebUI.',
          evidence: `kubectl get configmap ${WEBUI_CONFIG} -n ${namespace} finds nothing`,
          breaks: 'No further pod of Open WebUI can be started.',
          remedy: 'Have the control plane make it again.',
          repair,
        },
      ];
    }
    const { data } = configSchema.parse(found);
    const known = scope.known['entra/application']?.outputs['clientId'];
    // Without an application that is known there is nothing to compare this one with.
    const clientId = typeof known === 'string' ? known : (data['MICROSOFT_CLIENT_ID'] ?? '');
    const wrong = Object.entries(webuiSettings(scope, clientId)).filter(
      ([key, value]) => data[key] !== value,
    );
    if (wrong.length === 0) return [];
    return [
      {
        id: 'settings-changed',
        resource,
        severity: 'warning',
        what: 'Settings of Open WebUI are not as the spec says.',
        // Users may have put anything into the values.
        evidence: `in the ConfigMap ${WEBUI_CONFIG} other than wished: ${wrong
          .map(([key]) => key)
          .toSorted()
          .join(', ')}`,
        breaks: wrong.some(([key]) => /^(MICROSOFT|OPENID)_/.test(key))
          ? 'Pods that start from now on do not let anybody sign in.'
          : 'Pods that start from now on behave otherwise than those that run.',
        remedy: `Have the control plane apply them again, or take the change into the spec: webui.config, or PATCH /api/deployments/${scope.names.deployment}/config.`,
        repair,
      },
    ];
  },
};
