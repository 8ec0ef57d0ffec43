/** The value of a `durableClient` input binding (the extension's BindingHelper and HttpApiHandler). */

/** Where the management API is mounted: for everybody with the system key, and for the app's own client. */
export const managementPath = '/runtime/webhooks/durabletask';
export const rpcPath = '/durabletask';

const instanceIdPlaceholder = 'INSTANCEID';
const connection = 'Storage';

/** The links to manage one instance, as start answers and `createCheckStatusResponse` give them. */
export function managementLinks(
  origin: string,
  hubName: string,
  systemKey: string,
  instanceId: string,
): Record<string, string> {
  const instance = `${origin}${managementPath}/instances/${encodeURIComponent(instanceId)}`;
  const query = `taskHub=${encodeURIComponent(hubName)}&connection=${connection}&code=${encodeURIComponent(systemKey)}`;
  return {
    id: instanceId,
    statusQueryGetUri: `${instance}?${query}`,
    sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
    terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
    rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
    purgeHistoryDeleteUri: `${instance}?${query}`,
    restartPostUri: `${instance}/restart?${query}`,
    suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
    resumePostUri: `${instance}/resume?reason={text}&${query}`,
  };
}

/** The JSON text the app's durable client is made from. `rpcOrigin` must be a loopback address. */
export function clientBindingValue(options: {
  origin: string;
  rpcOrigin: string;
  hubName: string;
  systemKey: string;
}): string {
  const { origin, rpcOrigin, hubName, systemKey } = options;
  const create = `${origin}${managementPath}/orchestrators/{functionName}[/{instanceId}]`;
  const code = `code=${encodeURIComponent(systemKey)}`;
  return JSON.stringify({
    taskHubName: hubName,
    creationUrls: {
      createNewInstancePostUri: `${create}?${code}`,
      createAndWaitOnNewInstancePostUri: `${create}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&${code}`,
    },
    managementUrls: managementLinks(origin, hubName, systemKey, instanceIdPlaceholder),
    baseUrl: `${origin}${managementPath}`,
    requiredQueryStringParameters: code,
    rpcBaseUrl: `${rpcOrigin}${rpcPath}/`,
  });
}
