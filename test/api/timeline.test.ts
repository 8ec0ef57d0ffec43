import { expect, test } from 'vitest';
import { type Happened, timelineOf } from '../../src/api/timeline.ts';

const at = (minute: number): string => `2026-11-24T10:${String(minute).padStart(2, '0')}:00.000Z`;

const finding = {
  id: 'ollama-silent',
  severity: 'error',
  resource: 'kubernetes/ollama',
  what: 'Ollama does not answer.',
  evidence: 'it answered 503',
  breaks: 'nobody can chat',
  remedy: 'restart it',
  since: at(5),
} as const;

const happened: Happened = {
  operations: [
    {
      id: '20261124T100300-0123abcd',
      deployment: 'chat',
      kind: 'repair',
      cause: { kind: 'timer', what: 'the regular look' },
      revision: 1,
      state: 'failed',
      requestedAt: at(3),
      failure: { kind: 'fatal', code: 'Forbidden', message: 'not allowed' },
    },
  ],
  events: [
    {
      id: 'e',
      deployment: 'chat',
      type: 't',
      source: 's',
      subject: 'open-webui',
      what: 'the image open-webui:v2 was pushed',
      look: 'all',
      occurredAt: at(0),
      receivedAt: at(1),
      outcome: 'acted',
      operationId: '20261124T100100-0123abcd',
    },
  ],
  drift: [
    {
      resource: 'azure/network',
      path: 'properties.tags.team',
      wanted: 'a',
      found: 'b',
      since: at(2),
      lastSeenAt: at(3),
      state: 'repaired',
      policy: 'repair',
      repairs: [at(3)],
      settledAt: at(4),
      actor: { name: 'ann@example.com', how: 'activity-log' },
    },
    {
      resource: 'kubernetes/redis',
      path: '',
      wanted: 'present',
      found: null,
      since: at(6),
      lastSeenAt: at(6),
      state: 'open',
      policy: 'repair',
      repairs: [],
    },
  ],
  findings: [
    { id: 'a', deployment: 'chat', at: at(5), change: 'appeared', finding, causedBy: 'azure/cluster' },
    { id: 'w', deployment: 'chat', at: at(8), change: 'worsened', finding },
    { id: 'b', deployment: 'chat', at: at(7), change: 'cleared', finding },
  ],
};

test('everything is in one list, newest first, each with who or what was behind it', () => {
  const told = timelineOf(happened, 100).map(({ at: time, kind, what }) => [time.slice(14, 16), kind, what]);
  expect(told).toEqual([
    ['08', 'finding', 'Worse: Ollama does not answer.'],
    ['07', 'finding', 'No more: Ollama does not answer.'],
    ['06', 'drift', 'It was removed.'],
    ['05', 'finding', 'Ollama does not answer.'],
    ['04', 'drift', 'properties.tags.team was put right.'],
    ['03', 'operation', 'A repair operation has failed: not allowed.'],
    ['02', 'drift', 'properties.tags.team was changed by ann@example.com.'],
    ['01', 'event', 'The image open-webui:v2 was pushed: acted upon.'],
  ]);
});

test('a finding tells what it comes from', () => {
  const findings = timelineOf(happened, 100).filter(({ kind }) => kind === 'finding');
  expect(findings.map(({ causedBy }) => causedBy)).toEqual([undefined, undefined, 'azure/cluster']);
});

test('no more are given than were asked for', () => {
  expect(timelineOf(happened, 2).map(({ kind }) => kind)).toEqual(['finding', 'finding']);
});
