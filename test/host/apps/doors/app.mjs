// One function for each thing a door of the host has to get right.
import { app } from '@azure/functions';

const say = (text) => () => ({ body: text });

app.http('literal', { route: 'things/special', methods: ['GET'], handler: say('literal') });
app.http('number', {
  route: 'things/{id:int}',
  methods: ['GET'],
  handler: (r) => ({ jsonBody: ['int', r.params.id] }),
});
app.http('any', {
  route: 'things/{id}',
  methods: ['GET'],
  handler: (r) => ({ jsonBody: ['any', r.params.id] }),
});
app.http('write', { route: 'things/{id}', methods: ['PUT'], handler: say('write') });
app.http('optional', { route: 'maybe/{id?}', methods: ['GET'], handler: (r) => ({ jsonBody: r.params }) });
app.http('rest', { route: 'files/{*path}', methods: ['GET'], handler: (r) => ({ jsonBody: r.params }) });
app.http('named', { methods: ['GET'], handler: say('named') });

app.http('locked', { methods: ['GET'], authLevel: 'function', handler: say('function') });
app.http('adminOnly', { methods: ['GET'], authLevel: 'admin', handler: say('admin') });

app.http('echo', {
  methods: ['POST'],
  handler: async (request) => ({
    status: 201,
    headers: { 'x-made': 'here' },
    cookies: [{ name: 'taste', value: 'good', httpOnly: true, sameSite: 'Strict', path: '/v1' }],
    jsonBody: {
      body: await request.text(),
      type: request.headers.get('content-type'),
      query: request.query.get('q'),
      url: new URL(request.url).pathname,
    },
  }),
});
app.http('nothing', { methods: ['GET'], handler: () => undefined });
app.http('fails', {
  methods: ['GET'],
  handler: () => {
    throw new Error('this function fails');
  },
});
app.http('slow', {
  methods: ['GET'],
  handler: () => new Promise((resolve) => setTimeout(resolve, 5000, {})),
});
app.http('setting', {
  methods: ['GET'],
  handler: () => ({ body: `${process.env.FROM_FILE} ${process.env.FROM_BOTH}` }),
});
app.http('hooked', {
  methods: ['GET'],
  handler: (_request, context) => ({ body: context.seen ?? 'not hooked' }),
});
app.http('late', {
  methods: ['GET'],
  handler: () => {
    app.get('tooLate', { handler: say('never') });
    return {};
  },
});

const events = [];
app.eventGrid('onEvent', {
  handler: (event, context) => {
    context.log('an event came');
    if (event.subject === 'poison' || event.data?.poison) throw new Error('poison');
    events.push(event.id);
  },
});
app.http('events', { methods: ['GET'], handler: () => ({ jsonBody: events }) });

let byHand = 0;
app.timer('never', {
  schedule: '0 0 0 1 1 *',
  handler: (timer) => {
    byHand += timer.isPastDue ? 100 : 1;
  },
});
app.timer('broken', { schedule: '%NOT_SET%', handler: () => undefined });
app.http('byHand', { methods: ['GET'], handler: () => ({ jsonBody: byHand }) });
