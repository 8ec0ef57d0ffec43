import { describe, expect, test } from 'vitest';
import { namesOf } from '../../src/naming.ts';
import { webuiSettings } from '../../src/resources/kubernetes/config.ts';
import { derivedSettings } from '../../src/spec/derived-settings.ts';
import { deploymentSpecSchema } from '../../src/spec/spec.ts';
import { minimalSpec } from './minimal-spec.ts';

const settingsWith = (config: Readonly<Record<string, string>>) => {
  const spec = deploymentSpecSchema.parse({ ...minimalSpec, webui: { config } });
  return webuiSettings({ spec, names: namesOf('open-webui', spec) }, 'a-client-id');
};

describe('settings that are derived', () => {
  test('are all refused: what a user writes is never silently overruled', () => {
    const names = Object.keys(settingsWith({}));
    const overruled = names.filter((name) => settingsWith({ [name]: 'mine' })[name] !== 'mine');
    expect(overruled.length).toBeGreaterThan(8);
    expect(overruled.filter((name) => !derivedSettings.has(name))).toEqual([]);
  });
});
