/**
 * Pod Security admission: what a namespace's `pod-security.kubernetes.io/enforce` level forbids, in the server's words
 * (kubernetes.io/docs/concepts/security/pod-security-standards).
 */
import type { Namespace, Pod, PodSpec } from '../object.ts';

type Container = PodSpec['containers'][number];

const BASELINE_CAPABILITIES = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
);
const RESTRICTED_VOLUMES = new Set(
  'configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret'.split(' '),
);

/** Why the namespace does not take the pod; undefined when it does. */
export function podSecurityViolation(namespace: Namespace | undefined, pod: Pod): string | undefined {
  const labels = namespace?.metadata.labels ?? {};
  const level = labels['pod-security.kubernetes.io/enforce'];
  if (level !== 'baseline' && level !== 'restricted') return undefined;
  const found = [
    ...baselineViolations(pod.spec),
    ...(level === 'restricted' ? restrictedViolations(pod.spec) : []),
  ];
  if (found.length === 0) return undefined;
  const version = labels['pod-security.kubernetes.io/enforce-version'] ?? 'latest';
  return `violates PodSecurity "${level}:${version}": ${found.join(', ')}`;
}

function containersOf(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

function named(containers: readonly Container[]): string {
  const names = containers.map(({ name }) => `"${name}"`).join(', ');
  return `${containers.length === 1 ? 'container' : 'containers'} ${names}`;
}

function baselineViolations(spec: PodSpec): string[] {
  const found: string[] = [];
  const containers = containersOf(spec);
  if (spec.hostNetwork || spec.hostPID || spec.hostIPC)
    found.push('host namespaces (hostNetwork, hostPID or hostIPC)');
  const paths = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined);
  if (paths.length > 0)
    found.push(`hostPath volumes (volumes ${paths.map(({ name }) => `"${name}"`).join(', ')})`);
  const ports = containers.filter((one) => one.ports?.some(({ hostPort }) => hostPort));
  if (ports.length > 0) found.push(`hostPort (${named(ports)} uses hostPorts)`);
  const privileged = containers.filter(({ securityContext }) => securityContext?.privileged);
  if (privileged.length > 0)
    found.push(`privileged (${named(privileged)} must not set securityContext.privileged=true)`);
  const capable = containers.filter(({ securityContext }) =>
    securityContext?.capabilities?.add?.some((name) => !BASELINE_CAPABILITIES.has(name)),
  );
  if (capable.length > 0)
    found.push(
      `non-default capabilities (${named(capable)} must not include more in securityContext.capabilities.add)`,
    );
  return found;
}

function restrictedViolations(spec: PodSpec): string[] {
  const found: string[] = [];
  const containers = containersOf(spec);
  const own = spec.securityContext;
  const check = (title: string, rule: string, isWrong: (container: Container) => boolean): void => {
    const wrong = containers.filter(isWrong);
    if (wrong.length > 0) found.push(`${title} (${named(wrong)} must set ${rule})`);
  };
  check(
    'allowPrivilegeEscalation != false',
    'securityContext.allowPrivilegeEscalation=false',
    ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false,
  );
  check(
    'unrestricted capabilities',
    'securityContext.capabilities.drop=["ALL"]',
    ({ securityContext }) => !securityContext?.capabilities?.drop?.includes('ALL'),
  );
  const volumes = (spec.volumes ?? []).filter((volume) =>
    Object.keys(volume).some((field) => field !== 'name' && !RESTRICTED_VOLUMES.has(field)),
  );
  if (volumes.length > 0)
    found.push(`restricted volume types (volumes ${volumes.map(({ name }) => `"${name}"`).join(', ')})`);
  check(
    'runAsNonRoot != true',
    'securityContext.runAsNonRoot=true',
    ({ securityContext }) => (securityContext?.runAsNonRoot ?? own?.runAsNonRoot) !== true,
  );
  check(
    'runAsUser=0',
    'a non-zero securityContext.runAsUser',
    ({ securityContext }) => (securityContext?.runAsUser ?? own?.runAsUser) === 0,
  );
  check(
    'seccompProfile',
    'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
    ({ securityContext }) => {
      const type = securityContext?.seccompProfile?.type ?? own?.seccompProfile?.type;
      return type !== 'RuntimeDefault' && type !== 'Localhost';
    },
  );
  return found;
}
