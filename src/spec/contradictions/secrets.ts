/** Secrets do not belong in a spec: it is stored and shown as given. Messages name the field, never the value. */
import type { Rule } from '../contradictions.ts';
import { derivedSettings } from '../derived-settings.ts';
import { fieldOf, type Problem, problem } from '../problem.ts';

const secretName =
  /(^|_)(KEYS?|SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|CREDENTIALS?|CONNECTION_STRING)$/;
export const looksSecret = (name: string): boolean => secretName.test(name) && !name.startsWith('ENABLE_');

const credentials: readonly { readonly form: RegExp; readonly what: string }[] = [
  { form: /[a-z][a-z\d+.-]*:\/\/[^\s/?#@]*:[^\s/?#]+@/i, what: 'a password in a URL' },
  {
    form: /[?&](password|pwd|secret|sig|code|token|access_token|api_?key|key)=[^&\s]/i,
    what: 'a key in a URL',
  },
  {
    form: /\b(AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)\s*=\s*[^;\s]/i,
    what: 'a connection string with a key',
  },
  { form: /-----BEGIN [A-Z ]*PRIVATE KEY-----/, what: 'a private key' },
  // JSON in base64: a signed token, or what cloudflared is started with.
  { form: /\beyJ[\w+/-]{20,}/, what: 'a token' },
  {
    form: /\b(gh[pousr]_\w{20,}|github_pat_\w{20,}|sk-[\w-]{20,}|xox[abp]-[\w-]{10,}|AKIA[A-Z\d]{16})/,
    what: 'a token',
  },
  { form: /(^|[^\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}/, what: 'a client secret of Microsoft Entra' },
];

/** Undefined when nothing in the text looks like a credential. */
export const credentialIn = (text: string): string | undefined =>
  credentials.find(({ form }) => form.test(text))?.what;

const secretSettings: Rule = ({ spec }) =>
  Object.keys(spec.webui.config)
    .filter((name) => looksSecret(name) && !derivedSettings.has(name))
    .map((name) =>
      problem(
        fieldOf(['webui', 'config', name]),
        'looks like a secret, which does not belong in the spec: set it in the admin pages of Open WebUI',
      ),
    );

function secretValues(value: unknown, path: readonly PropertyKey[]): readonly Problem[] {
  if (typeof value === 'string') {
    const what = credentialIn(value);
    return what
      ? [problem(fieldOf(path), `must not contain ${what}: secrets do not belong in the spec`)]
      : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => secretValues(item, [...path, index]));
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .filter(([name]) => !isNamedAlready([...path, name]))
      .flatMap(([name, item]) => secretValues(item, [...path, name]));
  }
  return [];
}

/** Settings refused for their name need not be refused for their value too. */
const isNamedAlready = ([section, group, name]: readonly PropertyKey[]): boolean =>
  section === 'webui' &&
  group === 'config' &&
  typeof name === 'string' &&
  (derivedSettings.has(name) || looksSecret(name));

const noCredentials: Rule = ({ given }) => secretValues(given, []);

export const secretRules: readonly Rule[] = [secretSettings, noCredentials];
