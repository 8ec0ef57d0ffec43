/** Names and tags that are well-formed each by itself, and still cannot be. */
import type { Rule } from '../contradictions.ts';
import { fieldOf, problem } from '../problem.ts';

/** https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources: at most 50, three are ours. */
const MOST_TAGS = 47;
/** Storage accounts allow less than the 512 characters of other resources; same page. */
const LONGEST_TAG_NAME = 128;

const tags: Rule = ({ given }) => {
  const entries = Object.keys(given.tags ?? {});
  const problems = entries.flatMap((name, index) => {
    const field = fieldOf(['tags', name]);
    const lower = name.toLowerCase();
    if (lower === 'managed-by' || lower === 'deployment') {
      return [problem(field, 'is a tag this control plane sets itself')];
    }
    if (/^(microsoft|azure|windows)/.test(lower)) {
      return [problem(field, 'must not begin with microsoft, azure or windows: Azure reserves them')];
    }
    if (lower === 'application' && name !== 'Application')
      return [problem(field, 'must be written Application')];
    if (entries.findIndex((other) => other.toLowerCase() === lower) < index) {
      return [problem(field, 'must differ from the other tags by more than case')];
    }
    return name.length > LONGEST_TAG_NAME
      ? [problem(field, `must have a name of at most ${LONGEST_TAG_NAME} characters`)]
      : [];
  });
  return entries.length > MOST_TAGS
    ? [...problems, problem('tags', `must be at most ${MOST_TAGS}, so that ours fit too`)]
    : problems;
};

/**
 * AKS puts its nodes into a group it names itself, of at most 80 characters:
 * https://learn.microsoft.com/azure/aks/faq
 */
const nodeResourceGroup: Rule = ({ spec, names }) => {
  const length = `MC_${names.resourceGroup}_${names.cluster}_${spec.location}`.length;
  if (length <= 80) return [];
  const field =
    spec.resourceGroup && names.resourceGroup.length >= names.cluster.length
      ? 'resourceGroup'
      : 'cluster.name';
  return [
    problem(
      field,
      `must be ${length - 80} characters shorter: AKS makes a group MC_<resource group>_<cluster>_<location> of at most 80`,
    ),
  ];
};

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftnetwork */
const privateEndpoints: Rule = ({ spec, names }) => {
  if (spec.postgres.privateAccess !== 'private-endpoint') return [];
  if (names.postgresEndpoint.length > 64) {
    return [
      problem('postgres.server', 'must be at most 61 characters: its private endpoint is named after it'),
    ];
  }
  return names.postgresEndpoint === names.storageEndpoint
    ? [
        problem(
          'postgres.server',
          "must differ: its private endpoint would be named like the storage account's",
        ),
      ]
    : [];
};

const imagesApart: Rule = ({ spec }) => {
  const images = Object.entries(spec.registry.images);
  return images.flatMap(([name, { repository }], index) => {
    const other = images.slice(0, index).find(([, image]) => image.repository === repository);
    return other
      ? [
          problem(
            `registry.images.${name}.repository`,
            `must differ from registry.images.${other[0]}.repository`,
          ),
        ]
      : [];
  });
};

/** Names that no public DNS zone can hold (RFC 6761, RFC 6762, RFC 9476 and ICANN's .internal). */
const publicHostName: Rule = ({ spec }) => {
  const last = spec.tunnel.hostName.split('.').at(-1) ?? '';
  return ['alt', 'arpa', 'example', 'internal', 'invalid', 'local', 'localhost', 'onion', 'test'].includes(
    last,
  )
    ? [problem('tunnel.hostName', `must lie in a public DNS zone; .${last} is none`)]
    : [];
};

export const nameRules: readonly Rule[] = [
  tags,
  nodeResourceGroup,
  privateEndpoints,
  imagesApart,
  publicHostName,
];
