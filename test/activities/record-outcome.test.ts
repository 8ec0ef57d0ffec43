import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordOutcome } from '../../src/activities/record-outcome.ts';
import type { RecordOutcomeInput } from '../../src/orchestrations/activities.ts';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const since = '2026-11-24T10:00:00.000Z';
const at = Date.parse('2026-11-24T10:02:00Z');
let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());

let count = 0;
/** A deployment in which images of these digests were pushed, and a run has taken that up. */
async function pushed(...digests: string[]): Promise<RecordOutcomeInput> {
  count += 1;
  const deployment = `chat-${count}`;
  await store.putDeployment(deployment, minimalSpec, new Date(since));
  for (const version of digests) {
    await store.inbox.receiveEvent({
      id: version,
      deployment,
      type: 'Microsoft.ContainerRegistry.ImagePushed',
      source: '/r',
      subject: 'open-webui:v1',
      version,
      what: 'the image open-webui:v1 was pushed',
      look: ['azure/images'],
      occurredAt: since,
      receivedAt: since,
      outcome: 'pending',
    });
  }
  await store.inbox.take(deployment, 'run', 0);
  return { deployment, run: 'run', operations: [{ id: 'op' }], at, isSweep: false, before: {}, found: [] };
}

describe('an event whose image was given up', () => {
  test('has failed, though all is as it should be: nothing that it told of is proven', async () => {
    const input = await pushed(digest('a'), digest('b'));
    const image = { digest: digest('b'), repository: 'open-webui', reason: 'It crashes.', since };
    await store.changeDeployment(input.deployment, () => ({ quarantine: [image] }));
    expect(await recordOutcome(store)(input)).toEqual({ ok: true });
    const events = await store.inbox.events(input.deployment, 10);
    const [good, bad] = ['a', 'b'].map((letter) => events.find(({ id }) => id === digest(letter)));
    expect(good).toMatchObject({ outcome: 'acted', provenAt: '2026-11-24T10:02:00.000Z' });
    expect(bad).toMatchObject({
      outcome: 'failed',
      reason: 'given up, and the last good image runs. It crashes.',
      operationId: 'op',
    });
    expect(bad).not.toHaveProperty('provenAt');
  });
});

describe('a sweep', () => {
  test('that is recorded twice counts what it found once', async () => {
    const input = await pushed();
    const image = (letter: string) => ({ openWebui: `acr/open-webui@${digest(letter)}` });
    const swept: RecordOutcomeInput = {
      ...input,
      isSweep: true,
      before: { 'azure/images': { outputs: image('a'), readyAt: at - 1 } },
      found: [{ key: 'azure/images', state: 'ready', did: 'nothing', looks: 1, outputs: image('b') }],
    };
    for (let times = 0; times < 2; times += 1) await recordOutcome(store)(swept);
    expect(await store.findDeployment(input.deployment)).toMatchObject({
      missedEvents: 1,
      sweptAt: '2026-11-24T10:02:00.000Z',
    });
  });
});
