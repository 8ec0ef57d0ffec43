/** AKS run command: a pod in the cluster runs a line of kubectl or helm; the result is kept under the cluster. */
import { requireRunning } from './agent-pools.ts';
import { AKS_SERVER_APP_ID } from './cluster-credentials.ts';
import { type ClusterResource, poolsOf } from './cluster-model.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import type { Operation } from './frame/operations.ts';
import { Refusal } from './frame/refusal.ts';
import type { Call, Finish } from './frame/resource-type.ts';

/** The command runs as whoever the token is; without it, as the cluster's administrator. */
function requireCommandRights(call: Call, cluster: ClusterResource, clusterToken: string): void {
  const { aadProfile } = cluster.body.properties;
  if (!aadProfile) return;
  if (clusterToken === '') {
    throw new Refusal(
      400,
      'InvalidParameter',
      `The cluster '${cluster.name}' is Microsoft Entra enabled: a clusterToken for ${AKS_SERVER_APP_ID} is needed.`,
    );
  }
  const { directory } = call.frame.neighbours;
  const verified = directory.verifyToken(`Bearer ${clusterToken}`, [AKS_SERVER_APP_ID]);
  if (!verified.ok) throw new Refusal(401, 'Unauthorized', verified.reason);
  const dataAction = 'Microsoft.ContainerService/managedClusters/namespaces/write';
  if (
    aadProfile.enableAzureRBAC &&
    !call.frame.rights.isAllowed(verified.principal.id, cluster.id, { dataAction })
  ) {
    throw new Refusal(
      403,
      'Forbidden',
      `User "${verified.principal.id}" cannot run commands in the cluster: User does not have access to the resource in Azure.`,
    );
  }
}

export function startRunCommand(call: Call, input: Json, cluster: ClusterResource) {
  const { apiServerAccessProfile } = cluster.body.properties;
  if (apiServerAccessProfile?.disableRunCommand) {
    throw new Refusal(400, 'RunCommandDisabled', `Run command is disabled on the cluster '${cluster.name}'.`);
  }
  requireRunning(cluster);
  requireCommandRights(call, cluster, String(input['clusterToken'] ?? ''));
  return {
    takes: durations.runCommand,
    // The token goes no further.
    input: { command: String(input['command']) },
    resultsAt: `${cluster.id}/commandResults`,
  };
}

export async function finishRunCommand(
  frame: Frame,
  operation: Operation,
  cluster: ClusterResource,
): Promise<Finish> {
  const nodes = poolsOf(frame, cluster.id).reduce((sum, { body }) => sum + body.properties.count, 0);
  const at = (time: number): string => new Date(time).toISOString();
  const properties =
    nodes === 0
      ? {
          provisioningState: 'Failed',
          reason: 'PodNotScheduled: no schedulable node for the command pod within 60 seconds',
        }
      : {
          provisioningState: 'Succeeded',
          ...(await frame.neighbours.kubernetes.runCommand(cluster.id, String(operation.input['command']))),
        };
  return {
    result: {
      id: operation.id,
      properties: { ...properties, startedAt: at(operation.startedAt), finishedAt: at(operation.endsAt) },
    },
  };
}
