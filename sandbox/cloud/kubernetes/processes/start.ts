/** From the software in an image to what it does. */
import type { Behaviour, Software } from '../../neighbours.ts';
import { misbehaving } from './behaviour.ts';
import { startCloudflared } from './cloudflared.ts';
import { startExternalSecrets } from './external-secrets.ts';
import { startOllama } from './ollama.ts';
import { startOpenWebui } from './open-webui.ts';
import { startOther } from './other.ts';
import type { Process, ProcessContext } from './process.ts';
import { isPython, startPython } from './python.ts';
import { startReloader } from './reloader.ts';
import { startValkey } from './valkey.ts';

const STARTERS: Readonly<Record<Software, (context: ProcessContext) => Process>> = {
  'open-webui': (context) => (isPython(context) ? startPython(context) : startOpenWebui(context)),
  ollama: startOllama,
  cloudflared: startCloudflared,
  valkey: startValkey,
  'external-secrets': startExternalSecrets,
  reloader: startReloader,
  other: startOther,
};

/** `behaviour` of a bad build; a good one has none. A script of somebody's own is not the program that is bad. */
export function startProcess(software: Software, context: ProcessContext, behaviour?: Behaviour): Process {
  const start = (): Process => STARTERS[software](context);
  return behaviour === undefined || isPython(context)
    ? start()
    : misbehaving(behaviour, software, context, start);
}
