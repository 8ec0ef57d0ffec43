import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { addonsOf } from '../../../src/resources/kubernetes/addons.ts';
import { fullName } from '../../../src/resources/kubernetes/ollama-models.ts';
import { specOf } from '../spec.ts';

describe('kubernetes/addons', () => {
  test('each operator is one pinned helm line', () => {
    expect(addonsOf(specOf().spec).map(({ command }) => command)).toEqual([
      'helm upgrade --install external-secrets external-secrets --repo https://charts.external-secrets.io --version 2.9.0 --namespace external-secrets --create-namespace --set installCRDs=true',
      'helm upgrade --install reloader reloader --repo https://stakater.github.io/stakater-charts --version 2.2.17 --namespace reloader --create-namespace --set reloader.reloadStrategy=annotations',
    ]);
  });

  test('Reloader is neither installed nor expected where nothing is to be restarted by it', () => {
    for (const reloader of ['install', 'expect'] as const) {
      const { spec } = specOf({ reload: false, addons: { reloader } });
      expect(addonsOf(spec).map(({ name }) => name)).toEqual(['external-secrets']);
    }
  });

  test('a shell takes placement as single arguments that are JSON', () => {
    const cluster = {
      tolerations: [{ key: 'example.com/platform', operator: 'Equal', value: 'ai', effect: 'NoSchedule' }],
      nodeSelector: { 'example.com/pool': 'ai' },
    } as const;
    const { spec } = specOf({ cluster: { ...cluster, tolerations: [...cluster.tolerations] } });
    for (const { command, name } of addonsOf(spec)) {
      const listed = command.replace(/^helm/, "printf '%s\\n'");
      const args = execFileSync('sh', ['-c', listed], { encoding: 'utf8' }).trim().split('\n');
      const values = args.filter((_, index) => args[index - 1] === '--set-json');
      const path = name === 'reloader' ? 'reloader.deployment' : 'global';
      expect(values).toEqual([
        `${path}.tolerations=${JSON.stringify(cluster.tolerations)}`,
        `${path}.nodeSelector=${JSON.stringify(cluster.nodeSelector)}`,
      ]);
    }
  });

  test.each([
    ['ghcr.io/external-secrets/external-secrets:v2.9.0', 'external-secrets'],
    ['mirror.azurecr.io/external-secrets@sha256:1', 'external-secrets'],
    ['ghcr.io/stakater/reloader:v1.4.11', 'reloader'],
    ['stakater/reloader', 'reloader'],
  ])('knows %s as %s', (image, name) => {
    const known = addonsOf(specOf().spec).filter((addon) => addon.image.test(image));
    expect(known.map((addon) => addon.name)).toEqual([name]);
  });

  test('takes no other image for an operator', () => {
    const others = ['quay.io/prometheus-operator/prometheus-config-reloader:v1', 'external-secrets-ui:1'];
    const known = others.filter((image) => addonsOf(specOf().spec).some((addon) => addon.image.test(image)));
    expect(known).toEqual([]);
  });
});

describe('kubernetes/ollama-models', () => {
  test.each([
    ['llama3.2', 'llama3.2:latest'],
    ['llama3.2:1b', 'llama3.2:1b'],
    ['hf.co:443/org/model', 'hf.co:443/org/model:latest'],
  ])('%s is %s', (model, full) => {
    expect(fullName(model)).toBe(full);
  });
});
