import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities, StepProgress } from '../orchestrations/activities.ts';
import type { StepRecord, Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { loadStack, shapeOf } from './stack.ts';

const isoTime = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** Writes how far the given resources have got into the operations' records. */
export const recordSteps =
  (store: Store): Implementation<Activities['recordSteps']> =>
  async ({ deployment, operations, steps }) => {
    try {
      const { wanted } = await loadStack(store, deployment);
      const waitsFor = new Map(shapeOf(wanted).map((node) => [node.key, node.waitsFor]));
      const toRecord = ({ startedAt, readyAt, ...step }: StepProgress): StepRecord => ({
        ...step,
        title: wanted.find(({ key }) => key === step.key)?.title ?? step.key,
        ordinal: wanted.findIndex(({ key }) => key === step.key),
        waitsFor: waitsFor.get(step.key) ?? [],
        ...(startedAt === undefined ? {} : { startedAt: isoTime(startedAt) }),
        ...(readyAt === undefined ? {} : { readyAt: isoTime(readyAt) }),
      });
      await store.recordSteps(
        deployment,
        operations.map(({ id }) => id),
        steps.map(toRecord),
      );
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };
