// The same doors with HTTP streams: the library serves the bodies itself.
import { app } from '@azure/functions';

app.setup({ enableHttpStream: true });

app.http('count', {
  route: 'count/{to}',
  methods: ['GET'],
  handler: (request) => ({
    headers: { 'content-type': 'text/plain' },
    body: (async function* () {
      for (let index = 1; index <= Number(request.params.to); index++) {
        yield `${index}\n`;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })(),
  }),
});
app.http('size', {
  methods: ['POST'],
  handler: async (request) => {
    let size = 0;
    for await (const chunk of request.body) size += chunk.length;
    return { jsonBody: { size, query: request.query.get('q') } };
  },
});
app.http('fails', {
  methods: ['GET'],
  handler: () => {
    throw new Error('this function fails');
  },
});
app.http('nothing', { methods: ['GET'], handler: () => undefined });
