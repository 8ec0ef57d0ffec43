import { describe, expect, test } from 'vitest';
import { together } from '../../src/activities/take-requests.ts';
import type { EventRecord, LookRequest } from '../../src/store/inbox.ts';

const event = (id: string): EventRecord => ({
  id,
  deployment: 'chat',
  type: 't',
  source: 's',
  subject: 'x',
  what: `event ${id}`,
  look: ['azure/images'],
  occurredAt: '',
  receivedAt: '2026-11-24T10:00:00Z',
  outcome: 'pending',
});
const request = (kind: LookRequest['kind'], more: Partial<LookRequest> = {}): LookRequest => ({
  id: kind,
  deployment: 'chat',
  kind,
  cause: { kind: kind === 'sweep' ? 'timer' : 'request', what: kind },
  look: 'all',
  requestedAt: '2026-11-24T10:00:00Z',
  ...more,
});

describe('what waits in an inbox', () => {
  test('may be nothing', () => {
    expect(together([])).toEqual({ count: 0, look: [], isSweep: false, operations: [], kind: 'sweep' });
  });

  test('of several events is looked for once, and told by the first and how many more', () => {
    expect(together([event('a'), event('b'), event('c')])).toEqual({
      count: 3,
      look: ['azure/images'],
      isSweep: false,
      operations: [],
      kind: 'reaction',
      cause: { kind: 'event', what: 'event a (and 2 more)', id: 'a' },
    });
  });

  test('is told by what says most', () => {
    const put = request('provision', { operationId: 'op' });
    expect(together([request('sweep'), event('a'), put])).toMatchObject({
      kind: 'provision',
      look: 'all',
      operations: [{ id: 'op' }],
      cause: { kind: 'request', what: 'provision' },
    });
  });

  test('keeps apart where there is reason to look and that it is time to', () => {
    expect(together([request('sweep'), event('a')])).toMatchObject({ look: ['azure/images'], isSweep: true });
  });
});
