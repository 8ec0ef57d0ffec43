/**
 * Compute sizes and disks: which there are, which belong together.
 * https://learn.microsoft.com/azure/postgresql/compute-storage/concepts-compute and …/concepts-storage
 */
import { Refusal } from './frame/refusal.ts';

/** GiB of memory. */
const BURSTABLE: Readonly<Record<string, number>> = {
  Standard_B1ms: 2,
  Standard_B2s: 4,
  Standard_B2ms: 8,
  Standard_B4ms: 16,
  Standard_B8ms: 32,
  Standard_B12ms: 48,
  Standard_B16ms: 64,
  Standard_B20ms: 80,
};
const LARGER = /^Standard_([DE])(2|4|8|16|20|32|48|64|96)(s_v3|ds_v4|ds_v5|ads_v5)$/;

export function tierOf(sku: string): 'Burstable' | 'GeneralPurpose' | 'MemoryOptimized' | undefined {
  if (BURSTABLE[sku] !== undefined) return 'Burstable';
  const [, family, cores] = LARGER.exec(sku) ?? [];
  if (family === 'D' && cores !== '20') return 'GeneralPurpose';
  return family === 'E' ? 'MemoryOptimized' : undefined;
}

export function memoryGiBOf(sku: string): number {
  const [, family, cores] = LARGER.exec(sku) ?? [];
  return BURSTABLE[sku] ?? Number(cores ?? 2) * (family === 'E' ? 8 : 4);
}

export function requireSku({ name, tier }: { name: string; tier: string }): void {
  const own = tierOf(name);
  if (own === tier) return;
  throw new Refusal(
    400,
    'InvalidParameterValue',
    own === undefined
      ? `The provided sku name '${name}' is not available.`
      : `The sku name '${name}' belongs to the tier '${own}', not '${tier}'.`,
  );
}

/** Size in GiB, its own performance tier, and that tier's IOPS. */
const DISKS: readonly (readonly [number, string, number])[] = [
  [32, 'P4', 120],
  [64, 'P6', 240],
  [128, 'P10', 500],
  [256, 'P15', 1100],
  [512, 'P20', 2300],
  [1024, 'P30', 5000],
  [2048, 'P40', 7500],
  [4095, 'P50', 7500],
  [4096, 'P50', 7500],
  [8192, 'P60', 16_000],
  [16_384, 'P70', 18_000],
  [32_767, 'P80', 20_000],
];
const TIERS = [...new Set(DISKS.map(([, tier]) => tier))];

export interface Disk {
  readonly storageSizeGB: number;
  readonly tier: string;
}

/** The disk's own tier, and its IOPS at the tier it has; refuses sizes and tiers that do not go together. */
export function requireDisk({ storageSizeGB, tier }: { storageSizeGB: number; tier?: string }): {
  tier: string;
  iops: number;
} {
  const disk = DISKS.find(([size]) => size === storageSizeGB);
  if (!disk) {
    throw new Refusal(
      400,
      'InvalidStorageSize',
      `The storage size ${storageSizeGB} GB is invalid; it is one of ${DISKS.map(([size]) => size).join(', ')}.`,
    );
  }
  const wanted = tier ?? disk[1];
  const rank = TIERS.indexOf(wanted);
  const highest = storageSizeGB <= 4096 ? 'P50' : 'P80';
  if (rank < TIERS.indexOf(disk[1]) || rank > TIERS.indexOf(highest)) {
    throw new Refusal(
      400,
      'InvalidPerformanceTier',
      `The performance tier '${wanted}' is not available for ${storageSizeGB} GB: it is ${disk[1]} to ${highest}.`,
    );
  }
  return { tier: wanted, iops: DISKS.find(([, name]) => name === wanted)?.[2] ?? 0 };
}

export function isLowerTier(a: string, b: string): boolean {
  return TIERS.indexOf(a) < TIERS.indexOf(b);
}
