/** From the software in an image to what it does. */
import type { Software } from '../../neighbours.ts';
import { startCloudflared } from './cloudflared.ts';
import { startExternalSecrets } from './external-secrets.ts';
import { startOllama } from './ollama.ts';
import { startOpenWebui } from './open-webui.ts';
import { startOther } from './other.ts';
import type { Process, ProcessContext } from './process.ts';
import { startReloader } from './reloader.ts';
import { startValkey } from './valkey.ts';

const STARTERS: Readonly<Record<Software, (context: ProcessContext) => Process>> = {
  'open-webui': startOpenWebui,
  ollama: startOllama,
  cloudflared: startCloudflared,
  valkey: startValkey,
  'external-secrets': startExternalSecrets,
  reloader: startReloader,
  other: startOther,
};

export function startProcess(software: Software, context: ProcessContext): Process {
  return STARTERS[software](context);
}
