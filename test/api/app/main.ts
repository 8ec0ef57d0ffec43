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
  lookAgain: async (context, { deployment, operationId }) => {
    await df.getClient(context).startNew('noted', { instanceId: deployment, input: operationId });
  },
});
df.app.orchestration('noted', function* (context) {
  yield context.df.createTimer(context.df.currentUtcDateTime);
  return context.df.getInput();
});
