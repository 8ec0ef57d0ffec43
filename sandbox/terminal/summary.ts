/** What is said once a deployment has been worked on: what was made, what took long, whether the site answers. */
import { styleText } from 'node:util';
import type { Operation, Step } from '../control-plane.ts';
import type { Site } from '../site.ts';
import { duration, shortDuration } from './duration.ts';

const secondsOf = (step: Step): number =>
  step.startedAt && step.readyAt ? (Date.parse(step.readyAt) - Date.parse(step.startedAt)) / 1000 : 0;

export function summarise(operation: Operation, site: Site, realMilliseconds: number): string {
  const count = (did: Step['did']): number => operation.steps.filter((step) => step.did === did).length;
  const virtual =
    Date.parse(operation.finishedAt ?? operation.requestedAt) - Date.parse(operation.requestedAt);
  const slowest = [...operation.steps].sort((a, b) => secondsOf(b) - secondsOf(a)).slice(0, 5);
  const lines = [
    styleText('bold', `${operation.deployment.name}: ${operation.state}`),
    `  ${operation.steps.length} resources: ${count('created')} created, ${count('repaired')} repaired, ${count('nothing')} as asked`,
    `  took ${duration(virtual)} of the clouds' time, ${shortDuration(realMilliseconds)} of yours`,
  ];
  for (const { key, failure } of operation.steps.filter(({ state }) => state === 'failed')) {
    lines.push(styleText('red', `  ${key} failed: ${failure?.message ?? 'no reason given'}`));
  }
  const blocked = operation.steps.filter(({ state }) => state === 'blocked');
  if (blocked.length > 0) lines.push(`  ${blocked.length} more could not be made because of that`);
  if (virtual > 0 && slowest.some((step) => secondsOf(step) >= 1)) {
    lines.push(
      `  slowest: ${slowest.map((step) => `${step.key} ${duration(secondsOf(step) * 1000)}`).join(', ')}`,
    );
    lines.push(
      '  critical path: ' +
        operation.criticalPath.steps
          .filter(({ seconds }) => seconds >= 1)
          .map(({ key, seconds }) => `${key} ${duration(seconds * 1000)}`)
          .join(' → '),
    );
  }
  lines.push(
    '',
    `${site.ok ? styleText('green', '✔') : styleText('red', '✘')} ${site.url} answers ${site.status ?? 'nothing'}`,
  );
  for (const link of site.links) {
    lines.push(
      `  ${link.ok ? styleText('green', '✔') : styleText('red', '✘')} ${link.name.padEnd(9)} ${link.why}`,
    );
  }
  return lines.join('\n');
}
