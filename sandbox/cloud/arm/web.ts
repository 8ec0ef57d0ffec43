/** Microsoft.Web, as little of it as there is to see: the control plane's own function app and its functions. */
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import type { Call, ResourceType } from './frame/resource-type.ts';

const API_VERSIONS = ['2025-03-01', '2024-11-01', '2024-04-01', '2023-12-01', '2022-09-01'];
export const SITES = 'Microsoft.Web/sites';

/** Where the functions host answers: base URL, its functions, and its system key for Event Grid. */
export interface FunctionApp {
  readonly baseUrl: string;
  functions(): Promise<readonly string[]> | readonly string[];
  readonly eventGridKey: string;
}

/** Who the app's host is; set when it starts, unset while it is down. */
export class FunctionApps {
  #app: FunctionApp | undefined;
  #names: readonly string[] = [];

  async set(app: FunctionApp | undefined): Promise<void> {
    this.#app = app;
    // Azure keeps what the last deployment indexed; a host that is down does not unlist its functions.
    if (app) this.#names = await app.functions();
  }

  get app(): FunctionApp | undefined {
    return this.#app;
  }

  get functionNames(): readonly string[] {
    return this.#names;
  }
}

export function webTypes(apps: FunctionApps): readonly ResourceType[] {
  const describe = (frame: Frame, siteId: string, name: string): Json => ({
    id: `${siteId}/functions/${name}`,
    name: `${frame.world.settings.controlPlane.functionAppName}/${name}`,
    type: `${SITES}/functions`,
    properties: { name, language: 'node', isDisabled: false },
  });
  const isOurs = ({ frame }: Call, siteId: string): boolean => frame.store.get(siteId) !== undefined;
  return [
    { type: SITES, apiVersions: API_VERSIONS, scope: 'resource-group', tracked: true },
    {
      type: `${SITES}/functions`,
      apiVersions: API_VERSIONS,
      scope: 'resource-group',
      get: (call) =>
        isOurs(call, call.parentId) && apps.functionNames.includes(call.name)
          ? describe(call.frame, call.parentId, call.name)
          : undefined,
      list: (call) =>
        isOurs(call, call.id) ? apps.functionNames.map((name) => describe(call.frame, call.id, name)) : [],
    },
  ];
}
