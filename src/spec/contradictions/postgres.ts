/** What Azure Database for PostgreSQL would refuse, or what would keep the server or Open WebUI from starting. */
import type { Rule } from '../contradictions.ts';
import { fieldOf, problem } from '../problem.ts';
import { baselineTierOf, computeTierOf, type PerformanceTier, performanceTiers } from '../spec.ts';

const parameterField = (name: string): string => fieldOf(['postgres', 'parameters', name]);

const tierOfSize: Rule = ({ spec }) => {
  const { sku, tier } = spec.postgres;
  const wanted = computeTierOf(sku);
  if (!wanted) return [problem('postgres.sku', 'must be of family B, D or E, such as Standard_D2ds_v5')];
  return wanted === tier ? [] : [problem('postgres.tier', `must be ${wanted} for ${sku}, or left out`)];
};

/** https://learn.microsoft.com/azure/reliability/reliability-postgresql-flexible-server: not for Burstable compute. */
const availability: Rule = ({ spec }) =>
  spec.postgres.highAvailability !== 'Disabled' && computeTierOf(spec.postgres.sku) === 'Burstable'
    ? [problem('postgres.highAvailability', `must be Disabled for ${spec.postgres.sku}: Burstable has none`)]
    : [];

/** A disk of up to 4 TiB goes from its baseline up to P50, a larger one up to P80. */
const diskTier: Rule = ({ spec }) => {
  const { storageGiB, performanceTier } = spec.postgres;
  const rank = (tier: PerformanceTier): number => performanceTiers.indexOf(tier);
  const lowest = baselineTierOf(storageGiB);
  const highest = storageGiB <= 4096 ? 'P50' : 'P80';
  return rank(performanceTier) < rank(lowest) || rank(performanceTier) > rank(highest)
    ? [problem('postgres.performanceTier', `must be ${lowest} to ${highest} for ${storageGiB} GiB`)]
    : [];
};

/** Smallest and largest value: https://learn.microsoft.com/azure/postgresql/server-parameters/ */
const numbers: Readonly<Record<string, readonly [number, number]>> = {
  max_connections: [25, 5000],
  shared_buffers: [16, 1_073_741_823],
  work_mem: [4096, 2_097_151],
};

const numericParameters: Rule = ({ spec }) =>
  Object.entries(numbers).flatMap(([name, [lowest, highest]]) => {
    const value = spec.postgres.parameters[name];
    if (value === undefined) return [];
    const isFine = /^\d{1,10}$/.test(value) && Number(value) >= lowest && Number(value) <= highest;
    return isFine
      ? []
      : [
          problem(
            parameterField(name),
            `must be a whole number from ${lowest} to ${highest}, without a unit`,
          ),
        ];
  });

/** Open WebUI keeps its vectors in the database and runs `CREATE EXTENSION vector` when it starts. */
const vectorAllowed: Rule = ({ spec }) => {
  const extensions = (spec.postgres.parameters['azure.extensions'] ?? '').toUpperCase().split(',');
  return extensions.some((extension) => extension.trim() === 'VECTOR')
    ? []
    : [problem(parameterField('azure.extensions'), 'must list VECTOR: Open WebUI needs pgvector to start')];
};

/** GiB of memory of a compute size: https://learn.microsoft.com/azure/postgresql/compute-storage/concepts-compute */
function memoryGiB(sku: string): number | undefined {
  const small: Readonly<Record<string, number>> = { Standard_B1ms: 2, Standard_B2s: 4 };
  const [, family, cores] = /^Standard_([BDE])(\d+)/.exec(sku) ?? [];
  if (!family || !cores) return undefined;
  return small[sku] ?? Number(cores) * (family === 'E' ? 8 : 4);
}

/** Beyond three quarters of the memory the server is left none for connections and does not come up again. */
const buffersFit: Rule = ({ spec }) => {
  const memory = memoryGiB(spec.postgres.sku);
  const pages = Number(spec.postgres.parameters['shared_buffers']);
  const most = Math.floor((memory ?? 0) * 0.75 * 131_072);
  return memory === undefined || !(pages > most) || pages > (numbers['shared_buffers']?.[1] ?? 0)
    ? []
    : [
        problem(
          parameterField('shared_buffers'),
          `must be at most ${most} (pages of 8 KiB) for the ${memory} GiB of ${spec.postgres.sku}`,
        ),
      ];
};

const ownDatabase: Rule = ({ spec }) =>
  ['postgres', 'template0', 'template1', 'azure_maintenance', 'azure_sys'].includes(spec.postgres.database)
    ? [problem('postgres.database', "must not be one of the server's own databases")]
    : [];

export const postgresRules: readonly Rule[] = [
  tierOfSize,
  availability,
  diskTier,
  numericParameters,
  vectorAllowed,
  buffersFit,
  ownDatabase,
];
