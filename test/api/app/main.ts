/** The API alone, on a real host: what it hands over is noted by an orchestration that does nothing else. */
import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { registerApi } from '../../../src/api/register-api.ts';
import { createTableStore } from '../../../src/store/table-store.ts';

app.setup({ enableHttpStream: true });

const connectionString = process.env['AzureWebJobsStorage'] ?? '';
const store = createTableStore(
  { kind: 'connection-string', connectionString },
  { getToken: () => Promise.reject(new Error('a connection string carries its own key')) },
);

registerApi({
  store,
  staleAfterMilliseconds: 900_000,
  clientsFor: () => {
    throw new Error('there are no clouds here');
  },
  wake: async (context, deployment) => {
    const [request] = await store.inbox.take(deployment, 'noting', 0);
    const input = request && 'operationId' in request ? request.operationId : undefined;
    await df.getClient(context).startNew('noted', { instanceId: deployment, input });
  },
});
df.app.orchestration('noted', function* (context) {
  yield context.df.createTimer(context.df.currentUtcDateTime);
  return context.df.getInput();
});
