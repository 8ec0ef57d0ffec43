/** What a function app's folder says about itself: package.json, host.json and local.settings.json. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { HubSettings } from './durable/task-hub.ts';
import { resolveSettings } from './ncrontab.ts';
import { parseTimeSpan } from './time-span.ts';

export class AppSettingsError extends Error {
  override readonly name = 'AppSettingsError';
}

const durableTaskSchema = z.object({
  hubName: z.string().optional(),
  maxConcurrentActivityFunctions: z.number().int().positive().optional(),
  maxConcurrentOrchestratorFunctions: z.number().int().positive().optional(),
  maxConcurrentEntityFunctions: z.number().int().positive().optional(),
  overridableExistingInstanceStates: z.string().optional(),
  defaultVersion: z.string().optional(),
});

const hostSchema = z.object({
  version: z.literal('2.0'),
  functionTimeout: z.string().optional(),
  logging: z.object({ logLevel: z.record(z.string(), z.string()).optional() }).optional(),
  extensions: z
    .object({
      http: z.object({ routePrefix: z.string().optional() }).optional(),
      durableTask: durableTaskSchema.optional(),
    })
    .optional(),
});

const settingsSchema = z.object({
  IsEncrypted: z.boolean().optional(),
  Values: z.record(z.string(), z.string()).optional(),
});

export interface AppSettings {
  readonly routePrefix: string;
  /** Milliseconds; undefined is no limit. */
  readonly functionTimeout: number | undefined;
  /** Minimum level by category, lower case; `default` is for the rest. */
  readonly logLevels: Readonly<Record<string, string>>;
  readonly durable: HubSettings;
}

/** The default of the plans that have one beyond five minutes: 30 minutes. */
const defaultFunctionTimeout = 30 * 60_000;

function readJson<Value>(file: string, schema: z.ZodType<Value>): Value {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new AppSettingsError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new AppSettingsError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Reads host.json; `%NAME%` in the hub's name is an app setting. Throws AppSettingsError when it is missing or says something this host does not know. */
export function readHostJson(
  appFolder: string,
  environment: Readonly<Record<string, string | undefined>>,
): AppSettings {
  const { extensions, functionTimeout, logging } = readJson(join(appFolder, 'host.json'), hostSchema);
  const durable = extensions?.durableTask ?? {};
  const overridable = durable.overridableExistingInstanceStates ?? 'NonRunningStates';
  if (overridable !== 'NonRunningStates' && overridable !== 'AnyState') {
    throw new AppSettingsError(
      `host.json: extensions.durableTask.overridableExistingInstanceStates is '${overridable}'; it must be NonRunningStates or AnyState`,
    );
  }
  const concurrency = 10 * availableParallelism();
  const logLevels = Object.entries(logging?.logLevel ?? {});
  return {
    routePrefix: (extensions?.http?.routePrefix ?? 'api').replace(/^\/+|\/+$/g, ''),
    functionTimeout: timeoutOf(functionTimeout),
    logLevels: Object.fromEntries(
      logLevels.map(([name, level]) => [name.toLowerCase(), level.toLowerCase()]),
    ),
    durable: {
      hubName: hubNameOf(durable.hubName, environment),
      maxConcurrentActivityFunctions: durable.maxConcurrentActivityFunctions ?? concurrency,
      maxConcurrentOrchestratorFunctions: durable.maxConcurrentOrchestratorFunctions ?? concurrency,
      maxConcurrentEntityFunctions: durable.maxConcurrentEntityFunctions ?? concurrency,
      overridableExistingInstanceStates: overridable,
      defaultVersion: durable.defaultVersion ?? null,
      upperSchemaVersion: 2,
    },
  };
}

/** Core Tools' default name; the rule is that of the Azure Storage provider. */
function hubNameOf(
  configured: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const name = resolveSettings(configured ?? 'TestHubName', environment);
  if (/^[A-Za-z][A-Za-z0-9]{2,44}$/.test(name)) return name;
  throw new AppSettingsError(
    `host.json: the task hub name '${name}' must be 3 to 45 letters and digits and begin with a letter`,
  );
}

function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return defaultFunctionTimeout;
  if (text === '-1') return undefined;
  const milliseconds = parseTimeSpan(text);
  if (milliseconds === undefined || milliseconds <= 0) {
    throw new AppSettingsError(`host.json: functionTimeout '${text}' is not a time span such as 00:10:00`);
  }
  return milliseconds;
}

/** Puts local.settings.json's `Values` into the environment; what is there already wins. */
export function applyLocalSettings(appFolder: string, environment: NodeJS.ProcessEnv): void {
  const file = join(appFolder, 'local.settings.json');
  if (!existsSync(file)) return;
  const { IsEncrypted, Values } = readJson(file, settingsSchema);
  if (IsEncrypted) throw new AppSettingsError(`${file} is encrypted; this host cannot decrypt it`);
  for (const [name, value] of Object.entries(Values ?? {})) environment[name] ??= value;
}

/** The files package.json's `main` names, absolute, in order. Throws AppSettingsError when there are none. */
export function findEntryPoints(appFolder: string): string[] {
  const { main } = readJson(join(appFolder, 'package.json'), z.object({ main: z.string().optional() }));
  if (!main) throw new AppSettingsError(`${join(appFolder, 'package.json')} has no "main"`);
  const exact = join(appFolder, main);
  const files = existsSync(exact)
    ? [exact]
    : globSync(main, { cwd: appFolder }).map((file) => join(appFolder, file));
  if (files.length === 0) {
    throw new AppSettingsError(`package.json "main" is "${main}", but no file matches it in ${appFolder}`);
  }
  return files.sort();
}
