import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { namespace } from './namespace.ts';

export const OLLAMA_PORT = 11434;

/** Where Open WebUI finds Ollama; only from inside the cluster. */
export const ollamaService = kubernetesObjects({
  key: 'kubernetes/ollama-service',
  title: 'Ollama service',
  dependsOn: { namespace },
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  objects: () => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      name: 'ollama',
      labels: { app: 'ollama' },
      body: () => ({
        spec: {
          type: 'ClusterIP',
          selector: { app: 'ollama' },
          ports: [{ name: 'http', port: OLLAMA_PORT, targetPort: 'http', protocol: 'TCP' }],
        },
      }),
    },
  ],
});
