import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { namespace } from './namespace.ts';

export const WEBUI_PORT = 8080;

/**
 * Where the tunnel delivers. Clients stay with one replica by address, as the published project asks; behind the tunnel
 * every client has cloudflared's, so it is Redis that makes several replicas work.
 */
export const openWebuiService = kubernetesObjects({
  key: 'kubernetes/open-webui-service',
  title: 'Open WebUI service',
  dependsOn: { namespace },
  objects: ({ spec }) => {
    const timeoutSeconds = spec.webui.sessionAffinitySeconds;
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        name: 'open-webui',
        labels: { app: 'open-webui' },
        body: () => ({
          spec: {
            type: 'ClusterIP',
            selector: { app: 'open-webui' },
            ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
            ...(timeoutSeconds > 0
              ? { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } }
              : { sessionAffinity: 'None' }),
          },
        }),
      },
    ];
  },
});
