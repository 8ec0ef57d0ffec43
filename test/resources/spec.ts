import { type Names, namesOf } from '../../src/naming.ts';
import { type DeploymentSpec, type DeploymentSpecInput, deploymentSpecSchema } from '../../src/spec/spec.ts';

export const subscriptionId = '00000000-0000-4000-8000-000000000001';

/** A spec that says only what no default can know, with some fields of its own. */
export function specOf(fields: Partial<DeploymentSpecInput> = {}): { spec: DeploymentSpec; names: Names } {
  const spec = deploymentSpecSchema.parse({
    subscriptionId,
    tenantId: '00000000-0000-4000-8000-000000000002',
    registry: { name: 'acrchat' },
    tunnel: { accountId: 'a'.repeat(32), zoneId: 'b'.repeat(32), hostName: 'chat.example.com' },
    ...fields,
  });
  return { spec, names: namesOf('chat', spec) };
}
