/**
 * An Event Grid event as it comes, made plain: both envelopes (Event Grid's own schema and CloudEvents 1.0) and every
 * spelling of the data that has been seen on the wire become one form. Key Vault writes its keys in PascalCase, and the
 * published samples carry blanks in keys and values; older samples of the registry have a short type.
 * https://learn.microsoft.com/azure/event-grid/event-schema-key-vault, …/event-schema-container-registry
 *
 * Whatever comes, nothing is thrown and little is kept: only the fields below, each cut at LONGEST_TEXT. Of the claims and
 * addresses of whoever caused an event nothing is but one name, which is told to people and decides nothing.
 */

/** Longer than any ARM id. */
export const LONGEST_TEXT = 2_000;
/** https://learn.microsoft.com/azure/event-grid/delivery-and-retry: at most so many in a delivery. */
const LONGEST_BATCH = 5_000;

export interface EventData {
  /** Key Vault. */
  readonly objectName?: string;
  readonly objectType?: string;
  readonly version?: string;
  /** Seconds since 1970, as text, whether it came as number or string. */
  readonly nbf?: string;
  readonly exp?: string;
  /** Container registry; the last three are of its `target`. */
  readonly action?: string;
  readonly repository?: string;
  readonly tag?: string;
  readonly digest?: string;
  /** Resource Manager. */
  readonly operationName?: string;
  /** Who did it, by the claims: the principal name of a person, the client id of an application. */
  readonly caller?: string;
  /** AKS. */
  readonly nodePoolName?: string;
  readonly kubernetesVersion?: string;
}

export interface IncomingEvent {
  readonly id: string;
  /** With the provider's name in front, in the sender's case. */
  readonly type: string;
  /** ARM id of what sent it: `source` of CloudEvents, `topic` of Event Grid's schema; '' when it is missing. */
  readonly source: string;
  readonly subject: string;
  /** ISO 8601; '' when it is missing or makes no sense. */
  readonly time: string;
  readonly data: EventData;
}

const dataFields = [
  'objectName',
  'objectType',
  'version',
  'nbf',
  'exp',
  'action',
  'operationName',
  'nodePoolName',
  'kubernetesVersion',
] as const satisfies readonly (keyof EventData)[];
const targetFields = ['repository', 'tag', 'digest'] as const satisfies readonly (keyof EventData)[];

/**
 * Names of claims, the telling ones first: people's have an application, too, the one they used.
 * https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions
 */
const claimNames = [
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn',
  'upn',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name',
  'appid',
  'name',
];
/** As long as a principal name may be: 64 before the @, 48 of the domain. */
const LONGEST_CALLER = 113;

const registryPrefix = 'Microsoft.ContainerRegistry.';
const shortTypes = ['ImagePushed', 'ImageDeleted', 'ChartPushed', 'ChartDeleted'];

type Fields = ReadonlyMap<string, unknown>;

/** What an object holds, by names without case and blanks; of two spellings of a name the first that says something. */
function fieldsOf(value: unknown): Fields {
  const fields = new Map<string, unknown>();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fields;
  for (const [name, content] of Object.entries(value)) {
    const plain = name.trim().toLowerCase();
    if (textOf(fields.get(plain)) === '') fields.set(plain, content);
  }
  return fields;
}

/** Text without blanks around it; numbers as text; '' for all else. */
function textOf(value: unknown): string {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  if (typeof value !== 'string') return '';
  return value
    .slice(0, 2 * LONGEST_TEXT)
    .trim()
    .slice(0, LONGEST_TEXT)
    .toWellFormed();
}

/** The first of these names that says something. */
const read = (fields: Fields, ...names: readonly string[]): string =>
  names.map((name) => textOf(fields.get(name.toLowerCase()))).find((text) => text !== '') ?? '';

function dataOf(fields: Fields): EventData {
  const target = fieldsOf(fields.get('target'));
  const all = [
    ...dataFields.map((name) => [name, read(fields, name)] as const),
    ...targetFields.map((name) => [name, read(target, name)] as const),
    ['caller', callerOf(fieldsOf(fields.get('claims')))] as const,
  ];
  return Object.fromEntries(all.filter(([, text]) => text !== ''));
}

const callerOf = (claims: Fields): string =>
  read(claims, ...claimNames)
    .replaceAll(/[^\w.@#+'-]/g, '')
    .slice(0, LONGEST_CALLER);

function typeOf(type: string): string {
  const short = shortTypes.find((name) => name.toLowerCase() === type.toLowerCase());
  return short === undefined ? type : registryPrefix + short;
}

function timeOf(text: string): string {
  const at = Date.parse(text);
  return Number.isNaN(at) ? '' : new Date(at).toISOString();
}

/** Undefined for what is no event: it has no id or no type. */
export function readEvent(value: unknown): IncomingEvent | undefined {
  const fields = fieldsOf(value);
  const id = read(fields, 'id');
  const type = typeOf(read(fields, 'type', 'eventType'));
  if (id === '' || type === '') return undefined;
  return {
    id,
    type,
    source: read(fields, 'source', 'topic'),
    subject: read(fields, 'subject'),
    time: timeOf(read(fields, 'time', 'eventTime')),
    data: dataOf(fieldsOf(fields.get('data'))),
  };
}

/** The events of a delivery: one, or an array of them. What is no event is left out. */
export function readEvents(value: unknown): readonly IncomingEvent[] {
  const all: readonly unknown[] = Array.isArray(value) ? value.slice(0, LONGEST_BATCH) : [value];
  return all.map(readEvent).filter((event) => event !== undefined);
}
