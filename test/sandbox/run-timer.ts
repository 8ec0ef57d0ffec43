/** Has a timer come now, as an administrator of the functions host can. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Sample } from './sample.ts';

export async function runTimer({ sandbox }: Sample, name: 'sweep' | 'checkAll'): Promise<void> {
  const { masterKey } = JSON.parse(readFileSync(join(sandbox.directory, 'keys.json'), 'utf8')) as {
    masterKey: string;
  };
  const answer = await fetch(`${sandbox.endpoints.functions}/admin/functions/${name}`, {
    method: 'POST',
    headers: { 'x-functions-key': masterKey, 'content-type': 'application/json' },
    body: '{}',
  });
  expect(answer.status).toBeLessThan(300);
}
