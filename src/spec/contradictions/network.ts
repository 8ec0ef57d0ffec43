/** What Azure refuses about address ranges, found before it does. */
import type { Rule } from '../contradictions.ts';
import { contains, ipv4Range, overlap } from '../ipv4-range.ts';
import { type Problem, problem } from '../problem.ts';
import type { DeploymentSpec } from '../spec.ts';

/** Azure keeps five addresses of every subnet for itself. */
const RESERVED_ADDRESSES = 5;
/** https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning: the defaults, which we leave in place. */
const clusterRanges = [
  { what: "the cluster's services", cidr: '10.0.0.0/16' },
  { what: "the cluster's pods", cidr: '10.244.0.0/16' },
];
/** https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq and the AKS network prerequisites. */
const forbiddenRanges = [
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.30.0.0/16',
  '172.31.0.0/16',
  '192.0.2.0/24',
  '224.0.0.0/4',
  '255.255.255.255/32',
];

const subnetsOf = (spec: DeploymentSpec) =>
  (['aks', 'privateEndpoints', 'postgres'] as const).map((key) => ({
    field: `network.subnets.${key}`,
    name: spec.network.subnets[key].name,
    range: ipv4Range(spec.network.subnets[key].prefix),
  }));

const aligned: Rule = ({ spec }) =>
  [
    { field: 'network.addressSpace', range: ipv4Range(spec.network.addressSpace) },
    ...subnetsOf(spec).map(({ field, range }) => ({ field: `${field}.prefix`, range })),
  ].flatMap(({ field, range }) =>
    range.isAligned ? [] : [problem(field, 'must begin with the first address of its range')],
  );

const allowedRange: Rule = ({ spec }) => {
  const space = ipv4Range(spec.network.addressSpace);
  const hit = forbiddenRanges.find((cidr) => overlap(ipv4Range(cidr), space));
  return hit ? [problem('network.addressSpace', `must not overlap ${hit}, which Azure or AKS reserves`)] : [];
};

const insideAddressSpace: Rule = ({ spec }) => {
  const space = ipv4Range(spec.network.addressSpace);
  return subnetsOf(spec).flatMap(({ field, range }) =>
    contains(space, range) ? [] : [problem(`${field}.prefix`, 'must lie inside network.addressSpace')],
  );
};

const apart: Rule = ({ spec }) => {
  const subnets = subnetsOf(spec);
  return subnets.flatMap((subnet, index) => {
    const other = subnets.slice(0, index).find(({ range }) => overlap(range, subnet.range));
    return other ? [problem(`${subnet.field}.prefix`, `must not overlap ${other.field}.prefix`)] : [];
  });
};

const namedApart: Rule = ({ spec }) => {
  const subnets = subnetsOf(spec);
  return subnets.flatMap((subnet, index) => {
    const other = subnets
      .slice(0, index)
      .find(({ name }) => name.toLowerCase() === subnet.name.toLowerCase());
    return other ? [problem(`${subnet.field}.name`, `must differ from ${other.field}.name`)] : [];
  });
};

const clearOfTheCluster: Rule = ({ spec }) =>
  subnetsOf(spec).flatMap(({ field, range }) =>
    clusterRanges
      .filter(({ cidr }) => overlap(ipv4Range(cidr), range))
      .map(({ what, cidr }) => problem(`${field}.prefix`, `must not overlap ${cidr}, the range of ${what}`)),
  );

/** One address per node, and one more per pool (a tenth of its nodes) while an upgrade replaces them. */
const roomForNodes: Rule = ({ spec }) => {
  const nodes = spec.cluster.nodePools.reduce(
    (so, { count }) => so + count + Math.max(1, Math.ceil(count / 10)),
    0,
  );
  const { bits } = ipv4Range(spec.network.subnets.aks.prefix);
  const room = 2 ** (32 - bits) - RESERVED_ADDRESSES;
  if (nodes <= room) return [];
  return [
    problem(
      'network.subnets.aks.prefix',
      `must have room for ${nodes} nodes, counting those an upgrade adds; it has room for ${Math.max(0, room)}`,
    ),
  ];
};

/** A delegated subnet must be /28 or larger; any other at least /29, the smallest Azure makes. */
const largeEnough: Rule = ({ spec }) => {
  const { privateEndpoints, postgres } = spec.network.subnets;
  const postgresBits = spec.postgres.privateAccess === 'delegated-subnet' ? 28 : 29;
  const tooSmall = (field: string, prefix: string, bits: number): readonly Problem[] =>
    ipv4Range(prefix).bits > bits ? [problem(field, `must be /${bits} or larger`)] : [];
  return [
    ...tooSmall('network.subnets.privateEndpoints.prefix', privateEndpoints.prefix, 29),
    ...tooSmall('network.subnets.postgres.prefix', postgres.prefix, postgresBits),
  ];
};

export const networkRules: readonly Rule[] = [
  aligned,
  allowedRange,
  insideAddressSpace,
  apart,
  namedApart,
  clearOfTheCluster,
  roomForNodes,
  largeEnough,
];
