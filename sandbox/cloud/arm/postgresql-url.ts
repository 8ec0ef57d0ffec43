/** Reads a connection URL by libpq's rules: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS */

export interface ConnectionUrl {
  readonly user: string;
  readonly password: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** `prefer` when the URL does not say. */
  readonly sslMode: string;
  readonly sslRootCertificate?: string;
}

const PARAMETERS = [
  'application_name',
  'channel_binding',
  'client_encoding',
  'connect_timeout',
  'dbname',
  'fallback_application_name',
  'gssencmode',
  'host',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'options',
  'passfile',
  'password',
  'port',
  'require_auth',
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'ssl_min_protocol_version',
  'target_session_attrs',
  'tcp_user_timeout',
  'user',
];
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** A string is why the URL cannot be read, in libpq's words; it never quotes the password. */
export function parseConnectionUrl(url: string): ConnectionUrl | string {
  const [, rest] = /^postgres(?:ql)?:\/\/(.*)$/s.exec(url) ?? [];
  if (rest === undefined) return 'missing "=" in connection info string: it is no postgresql:// URL';
  // The first @ before any slash ends user and password, so one in a password must be written %40.
  const [, credentials, address = ''] = /^(?:([^@/]*)@)?(.*)$/s.exec(rest) ?? [];
  const [, location = '', query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(address) ?? [];
  const [, authority = '', path = ''] = /^([^/]*)(?:\/(.*))?$/s.exec(location) ?? [];
  const [, userText = '', passwordText = ''] = /^([^:]*)(?::(.*))?$/s.exec(credentials ?? '') ?? [];
  const [, hostText = '', portText = ''] = /^([^:]*)(?::(.*))?$/s.exec(authority) ?? [];
  const given = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', ...values] = pair.split('=');
    if (values.length !== 1)
      return `missing or extra key/value separator "=" in URI query parameter: "${name}"`;
    if (!PARAMETERS.includes(name)) return `invalid URI query parameter: "${name}"`;
    given.set(name, values[0] ?? '');
  }
  const texts = {
    user: given.get('user') ?? userText,
    password: given.get('password') ?? passwordText,
    host: given.get('host') ?? hostText,
    port: given.get('port') ?? portText,
    database: given.get('dbname') ?? path,
    sslMode: given.get('sslmode') ?? 'prefer',
    sslRootCertificate: given.get('sslrootcert') ?? '',
  };
  const decoded: Record<string, string> = {};
  for (const [name, text] of Object.entries(texts)) {
    const value = percentDecoded(text);
    if (value === undefined)
      return `invalid percent-encoded token${name === 'password' ? '' : `: "${text}"`}`;
    decoded[name] = value;
  }
  const {
    user = '',
    password = '',
    host = '',
    port = '',
    database = '',
    sslMode = '',
    sslRootCertificate,
  } = decoded;
  if (port !== '' && !/^\d{1,5}$/.test(port)) return `invalid port number: "${port}"`;
  if (!SSL_MODES.includes(sslMode)) return `invalid sslmode value: "${sslMode}"`;
  return {
    user,
    password,
    host,
    port: port === '' ? 5432 : Number(port),
    database: database || user,
    sslMode,
    ...(sslRootCertificate && { sslRootCertificate }),
  };
}

/** Undefined where libpq finds an invalid %-sequence. */
function percentDecoded(text: string): string | undefined {
  if (/%(?![0-9a-f]{2})|%00/i.test(text)) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
