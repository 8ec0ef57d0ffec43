import { reloadAnnotations } from '../../resources/kinds/workload.ts';
import type { Check, CheckFinding } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf } from './cluster.ts';

const watched = ['open-webui', 'cloudflared'] as const;

/** A Deployment that is not there is missed by another check. */
export const reloaderAnnotations: Check = {
  id: 'reloader-annotations',
  system: 'secrets',
  title: 'Reloader is told which workloads to watch',
  isWanted: ({ spec }) => spec.reload,
  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace } = scope.names;
    const wished = Object.entries(reloadAnnotations(scope.spec));
    const findings = await Promise.all(
      watched.map(async (name): Promise<readonly CheckFinding[]> => {
        const found = await api.find({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name });
        const wrong = wished.find(([key, value]) => found && found.metadata.annotations?.[key] !== value);
        if (!wrong) return [];
        const [key, value] = wrong;
        return [
          {
            id: 'reloader-annotation-missing',
            resource: `kubernetes/${name}`,
            severity: 'warning',
            what: `Reloader does not watch ${name}: an annotation of its Deployment is missing or changed.`,
            evidence: `${key} is ${found?.metadata.annotations?.[key] ?? 'missing'}, and should be ${value}`,
            breaks: `${name} is not restarted when something changes that others mount into it.`,
            remedy: `kubectl annotate deployment ${name} -n ${namespace} ${key}=${value} --overwrite`,
            repair: repairOf(scope),
          },
        ];
      }),
    );
    return findings.flat();
  },
};
