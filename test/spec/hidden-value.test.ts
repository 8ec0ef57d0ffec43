import { expect, test } from 'vitest';
import { shownDifference } from '../../src/spec/hidden-value.ts';

const hidden = '(not shown: may hold a secret)';

test.each([
  ['a tag with the name of a secret', { path: 'tags.DB_PASSWORD', wanted: null, found: 'hunter2' }, null],
  [
    'a parameter with a connection string',
    { path: 'application_name', wanted: 'webui', found: 'host=x;Password=hunter2' },
    'webui',
  ],
  [
    'a rule of the tunnel with a login',
    { path: 'ingress', wanted: [], found: [{ service: 'http://me:hunter2@host' }] },
    [],
  ],
  [
    'a tunnel token that somebody starts cloudflared with',
    { path: 'args', wanted: null, found: ['tunnel', 'run', 'eyJhIjoiYWNjb3VudCIsInQiOiJ0dW5uZWwifQ=='] },
    null,
  ],
  ['what follows a flag', { path: 'args', wanted: ['run'], found: ['run', '--token', 'hunter2'] }, ['run']],
  ['what is in a flag', { path: 'args', wanted: ['run'], found: ['--api-key=hunter2'] }, ['run']],
] as const)('%s is not shown', (_, difference, wanted) => {
  expect(shownDifference(difference)).toEqual({ path: difference.path, wanted, found: hidden });
});

test('flags that hold no secret are shown', () => {
  const found = ['tunnel', '--metrics', '0.0.0.0:2000', '--token-file', '/etc/token', '--max-tokens=5'];
  expect(shownDifference({ path: 'args', wanted: [], found })).toMatchObject({ found });
});

test('what is no secret is shown, with who it was', () => {
  const difference = { path: 'sku.tier', wanted: 'Free', found: 'Standard', by: { name: 'kubectl' } };
  expect(shownDifference(difference)).toEqual(difference);
});
