import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { managedBy, markOf, namesOf, stableGuid } from '../src/naming.ts';
import { deploymentName, deploymentSpecSchema } from '../src/spec/spec.ts';
import { minimalSpec } from './spec/minimal-spec.ts';

const specOf = (more: object = {}) => deploymentSpecSchema.parse({ ...minimalSpec, ...more });
const deploymentNames = fc
  .stringMatching(/^[a-z][a-z0-9-]{1,22}[a-z0-9]$/)
  .filter((name) => deploymentName.safeParse(name).success);

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
const rules = {
  resourceGroup: /^[\w().-]{1,89}[\w()-]$/,
  cluster: /^[a-zA-Z0-9]([\w-]{0,61}[a-zA-Z0-9])?$/,
  identity: /^[a-zA-Z0-9][\w-]{2,127}$/,
  vault: /^(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$/,
  storageAccount: /^[a-z0-9]{3,24}$/,
  storageEndpoint: /^[a-zA-Z0-9][\w.-]{0,62}\w$/,
  postgresServer: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
  postgresEndpoint: /^[a-zA-Z0-9][\w.-]{0,62}\w$/,
  postgresZone: /^([a-z0-9-]{1,63}\.)+postgres\.database\.azure\.com$/,
} as const;

describe('names', () => {
  test('of any deployment are such as the clouds accept', () => {
    fc.assert(
      fc.property(deploymentNames, (name) => {
        const names = namesOf(name, specOf());
        for (const [key, rule] of Object.entries(rules)) {
          expect(names[key as keyof typeof rules], key).toMatch(rule);
        }
      }),
    );
  });

  test('are the same each time', () => {
    expect(namesOf('openwebui', specOf())).toEqual(namesOf('openwebui', specOf()));
  });

  test('that are unique in Azure differ between deployments, and between subscriptions', () => {
    const other = { subscriptionId: '00000000-0000-4000-8000-000000000009' };
    const pairs = [
      [namesOf('openwebui', specOf()), namesOf('openwebui2', specOf())],
      [namesOf('openwebui', specOf()), namesOf('openwebui', specOf(other))],
      [namesOf('a-very-long-name-indeed1', specOf()), namesOf('a-very-long-name-indeed2', specOf())],
    ] as const;
    for (const [one, two] of pairs) {
      for (const key of ['vault', 'storageAccount', 'postgresServer', 'application'] as const) {
        expect(one[key]).not.toBe(two[key]);
      }
    }
  });

  test('that are given are taken', () => {
    const given = specOf({
      resourceGroup: 'rg-openwebui',
      vault: { name: 'kv-openwebui' },
      storage: { account: 'stopenwebui' },
      postgres: { server: 'psql-openwebui' },
      identity: { name: 'uai-openwebui' },
    });
    expect(namesOf('other', given)).toMatchObject({
      resourceGroup: 'rg-openwebui',
      vault: 'kv-openwebui',
      storageAccount: 'stopenwebui',
      storageEndpoint: 'pe-stopenwebui-file',
      postgresServer: 'psql-openwebui',
      postgresEndpoint: 'pe-psql-openwebui',
      identity: 'uai-openwebui',
    });
  });

  test('of the database zone follow the kind of private access', () => {
    expect(namesOf('openwebui', specOf()).postgresZone).toBe('openwebui.private.postgres.database.azure.com');
    expect(
      namesOf('openwebui', specOf({ postgres: { privateAccess: 'private-endpoint' } })).postgresZone,
    ).toBe('privatelink.postgres.database.azure.com');
  });
});

describe('marks', () => {
  test('are among the tags, whatever the user adds', () => {
    expect(namesOf('openwebui', specOf({ tags: { Owner: 'me', Application: 'Chat' } })).tags).toEqual({
      Owner: 'me',
      Application: 'Chat',
      'managed-by': managedBy,
      deployment: 'openwebui',
    });
  });

  test('name the deployment where there are no tags', () => {
    expect(markOf('openwebui')).toBe('managed-by=open-webui-control-plane deployment=openwebui');
  });
});

describe('stable GUIDs', () => {
  test('are of version 5 and variant 1', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (parts) => {
        expect(stableGuid(...parts)).toMatch(
          /^[\da-f]{8}-[\da-f]{4}-5[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
        );
      }),
    );
  });

  test('agree with another implementation of RFC 9562, in the URL namespace', () => {
    // Python: uuid.uuid5(uuid.NAMESPACE_URL, 'https://example.com/')
    expect(stableGuid('https://example.com/')).toBe('dd2c1780-811a-5296-81c5-178a0ef488bc');
  });

  test('differ by each part and not by case', () => {
    expect(stableGuid('a', 'b')).toBe(stableGuid('A', 'B'));
    expect(stableGuid('a', 'b')).not.toBe(stableGuid('b', 'a'));
    expect(stableGuid('a', 'b')).not.toBe(stableGuid('a', 'c'));
  });
});
