/** What Azure refuses about a flexible server's login, password, compute and storage, each with its source. */
import { Refusal } from './frame/refusal.ts';

const refusal = (code: string, message: string): Refusal => new Refusal(400, code, message);

const RESERVED_LOGINS = [
  'azure_superuser',
  'azure_pg_admin',
  'admin',
  'administrator',
  'root',
  'guest',
  'public',
];

/** https://learn.microsoft.com/azure/postgresql/configure-maintain/quickstart-create-server */
export function loginRules(login: string | undefined): void {
  if (!login) throw refusal('MissingParameter', "The parameter 'administratorLogin' is missing.");
  if (
    !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(login) ||
    login.startsWith('pg_') ||
    RESERVED_LOGINS.includes(login)
  ) {
    throw refusal('InvalidAdministratorLogin', `The administrator login '${login}' is not allowed.`);
  }
}

/** 8 to 128 characters of three of the four kinds, and not the login in it. */
export function passwordRules(login: string | undefined, password: string | undefined): void {
  if (password === undefined)
    throw refusal('MissingParameter', "The parameter 'administratorLoginPassword' is missing.");
  const kinds = [/[A-Z]/, /[a-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  const hasLogin = login !== undefined && password.toLowerCase().includes(login.toLowerCase());
  if (password.length < 8 || password.length > 128 || kinds < 3 || hasLogin) {
    throw refusal('PasswordNotComplex', 'Password does not match the complexity requirements.');
  }
}

/** The lowest tier that a size of storage has by itself; it can be raised, not lowered. */
const TIERS = ['P4', 'P6', 'P10', 'P15', 'P20', 'P30', 'P40', 'P50', 'P60', 'P70', 'P80'];
const SIZES = [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_767];
const COMPUTE: Readonly<Record<string, RegExp>> = {
  Burstable: /^Standard_B(1ms|2s|2ms|4ms|8ms|12ms|16ms|20ms)$/,
  GeneralPurpose: /^Standard_D\d+(d?s|ads)_v\d$/,
  MemoryOptimized: /^Standard_E\d+(d?s|ads)_v\d$/,
};

export function sizeRules(
  sku: { name: string; tier: string },
  storage: { storageSizeGB?: number | undefined; tier?: string | undefined },
  highAvailability: string | undefined,
): void {
  if (!COMPUTE[sku.tier]?.test(sku.name)) {
    throw refusal('InvalidSku', `The compute size '${sku.name}' is not one of tier '${sku.tier}'.`);
  }
  const size = storage.storageSizeGB ?? 32;
  const lowest = SIZES.indexOf(size);
  if (lowest < 0)
    throw refusal('InvalidStorageSize', `The storage size ${size} GiB is not allowed: ${SIZES.join(', ')}.`);
  if (storage.tier !== undefined && TIERS.indexOf(storage.tier) < lowest) {
    throw refusal(
      'InvalidStorageTier',
      `The performance tier '${storage.tier}' is not allowed for ${size} GiB.`,
    );
  }
  if (sku.tier === 'Burstable' && highAvailability !== undefined && highAvailability !== 'Disabled') {
    throw refusal(
      'HighAvailabilityNotSupported',
      'High availability is not supported for the Burstable tier.',
    );
  }
}
