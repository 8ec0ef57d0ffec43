/** The part of ESO's v2 templates that connection strings need: `{{ .key }}` and a few text functions. */

const FUNCTIONS: ReadonlyMap<string, (text: string) => string> = new Map(
  Object.entries<(text: string) => string>({
    toString: (text: string) => text,
    trim: (text) => text.trim(),
    lower: (text) => text.toLowerCase(),
    upper: (text) => text.toUpperCase(),
    quote: (text) => JSON.stringify(text),
    urlquery: (text) => encodeURIComponent(text).replaceAll('%20', '+'),
    b64enc: (text) => Buffer.from(text).toString('base64'),
    b64dec: (text) => Buffer.from(text, 'base64').toString(),
  }),
);

/** The text with its actions carried out, or what cannot be understood in it. */
export function renderTemplate(
  template: string,
  values: Readonly<Record<string, string>>,
): { readonly text: string } | { readonly error: string } {
  let error: string | undefined;
  const text = template.replace(/\{\{-?\s*(.*?)\s*-?\}\}/g, (_, action: string) => {
    const [first = '', ...functions] = action.split('|').map((part) => part.trim());
    const key = /^\.(\w[\w-]*)$/.exec(first)?.[1];
    const value = key === undefined ? undefined : values[key];
    if (value === undefined) {
      error ??=
        key === undefined
          ? `unexpected ${JSON.stringify(first)} in command`
          : `map has no entry for key "${key}"`;
      return '';
    }
    return functions.reduce((result, name) => {
      const apply = FUNCTIONS.get(name);
      if (!apply) error ??= `function "${name}" not defined`;
      return apply ? apply(result) : result;
    }, value);
  });
  return error === undefined ? { text } : { error };
}
