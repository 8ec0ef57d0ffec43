/**
 * Route templates of HTTP triggers, as ASP.NET Core's attribute routes: `orders/{id:int}/{*rest}`, `{id?}`, `{id=5}`.
 * Literals are compared without regard to case.
 */

export class RouteTemplateError extends Error {
  override readonly name = 'RouteTemplateError';
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | {
      readonly kind: 'parameter';
      readonly name: string;
      readonly isOptional: boolean;
      readonly isCatchAll: boolean;
      readonly otherwise: string | undefined;
      readonly constraints: readonly ((value: string) => boolean)[];
    }
  | { readonly kind: 'mixed'; readonly pattern: RegExp; readonly names: readonly string[] };

export interface RouteTemplate {
  readonly text: string;
  /** The parameters' values (decoded), or undefined when the path is another's. */
  match(path: string): Record<string, string> | undefined;
  /** Smaller is tried first: literals before constrained parameters before parameters before catch-alls. */
  readonly precedence: string;
}

const guid = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

function toConstraint(text: string): (value: string) => boolean {
  const [, name = '', argument = ''] = /^(\w+)(?:\((.*)\))?$/.exec(text) ?? [];
  const numbers = argument.split(',').map(Number);
  const [low = 0, high = low] = numbers;
  switch (name.toLowerCase()) {
    case 'int':
      return (value) => /^[+-]?\d{1,10}$/.test(value) && Math.abs(Number(value)) <= 2 ** 31 - 1;
    case 'long':
      return (value) => /^[+-]?\d{1,19}$/.test(value);
    case 'bool':
      return (value) => /^(true|false)$/i.test(value);
    case 'decimal':
    case 'double':
    case 'float':
      return (value) => value !== '' && !Number.isNaN(Number(value));
    case 'guid':
      return (value) => guid.test(value);
    case 'datetime':
      return (value) => !Number.isNaN(Date.parse(value));
    case 'alpha':
      return (value) => /^[a-z]*$/i.test(value);
    case 'length':
      return (value) => value.length >= low && value.length <= high;
    case 'minlength':
      return (value) => value.length >= low;
    case 'maxlength':
      return (value) => value.length <= low;
    case 'min':
      return (value) => /^-?\d+$/.test(value) && Number(value) >= low;
    case 'max':
      return (value) => /^-?\d+$/.test(value) && Number(value) <= low;
    case 'range':
      return (value) => /^-?\d+$/.test(value) && Number(value) >= low && Number(value) <= high;
    case 'required':
      return (value) => value !== '';
    case 'regex': {
      const pattern = new RegExp(argument.replaceAll('{{', '{').replaceAll('}}', '}'), 'i');
      return (value) => pattern.test(value);
    }
    default:
      throw new RouteTemplateError(`The constraint reference '${text}' could not be resolved to a type.`);
  }
}

function toSegment(text: string): Segment {
  if (!text.includes('{')) return { kind: 'literal', text: text.toLowerCase() };
  const isOne = text.startsWith('{') && text.endsWith('}') && !/[^{]\{(?!\{)/.test(text);
  return isOne ? toParameter(text.slice(1, -1)) : toMixed(text);
}

/** `*name:constraint:constraint(argument)?` or `…=default`. */
function toParameter(text: string): Segment {
  const isCatchAll = text.startsWith('*');
  const isOptional = text.endsWith('?');
  const [declaration = '', otherwise] = isOptional ? [text.slice(0, -1)] : splitOutside(text, '=');
  const [name = '', ...constraints] = splitOutside(declaration.replace(/^\*{1,2}/, ''), ':');
  if (!/^[\w-]+$/.test(name)) throw new RouteTemplateError(`The route parameter name '${name}' is invalid.`);
  return {
    kind: 'parameter',
    name,
    isOptional,
    isCatchAll,
    otherwise,
    constraints: constraints.map(toConstraint),
  };
}

/** Literals and parameters in one segment, such as `{name}.{ext}`. */
function toMixed(text: string): Segment {
  const names: string[] = [];
  const source = text.replace(/\{([\w-]+)(?::(\w+))?\}|([^{}]+)/g, (_part, name, constraint, literal) => {
    if (name === undefined) return String(literal).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    names.push(String(name));
    return constraint === 'int' ? '([+-]?\\d+)' : constraint === 'alpha' ? '([A-Za-z]+)' : '(.+?)';
  });
  return { kind: 'mixed', pattern: new RegExp(`^${source}$`, 'i'), names };
}

/** What stands in parentheses is a constraint's own. */
function splitOutside(text: string, separator: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const character of text) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character === separator && depth === 0) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts;
}

function rank(segment: Segment): string {
  if (segment.kind === 'literal') return '1';
  if (segment.kind === 'mixed') return '2';
  if (segment.isCatchAll) return '5';
  return segment.constraints.length > 0 ? '3' : '4';
}

/** Parses a template. Throws RouteTemplateError for one the real host would refuse at start-up. */
export function parseRoute(text: string): RouteTemplate {
  const trimmed = text.replace(/^\/+|\/+$/g, '');
  const segments = trimmed === '' ? [] : trimmed.split('/').map(toSegment);
  segments.forEach((segment, index) => {
    const isLast = index === segments.length - 1;
    if (segment.kind === 'parameter' && segment.isCatchAll && !isLast) {
      throw new RouteTemplateError(
        `A catch-all parameter can only be the last segment of the route template '${text}'.`,
      );
    }
  });
  return {
    text: trimmed,
    precedence: segments.map(rank).join('.'),
    match: (path) => matchSegments(segments, path),
  };
}

function matchSegments(segments: readonly Segment[], path: string): Record<string, string> | undefined {
  const trimmed = path.replace(/^\//, '').replace(/\/$/, '');
  const parts = trimmed === '' ? [] : trimmed.split('/');
  const values: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index];
    if (segment.kind === 'parameter' && segment.isCatchAll) {
      const rest = parts.slice(index).map(decode).join('/');
      if (!segment.constraints.every((allows) => allows(rest))) return undefined;
      if (rest !== '') values[segment.name] = rest;
      return values;
    }
    if (part === undefined || part === '') {
      if (segment.kind !== 'parameter') return undefined;
      if (segment.otherwise !== undefined) values[segment.name] = segment.otherwise;
      else if (!segment.isOptional) return undefined;
      continue;
    }
    const value = decode(part);
    if (segment.kind === 'literal') {
      if (value.toLowerCase() !== segment.text) return undefined;
    } else if (segment.kind === 'mixed') {
      const match = segment.pattern.exec(value);
      if (!match) return undefined;
      for (const [at, name] of segment.names.entries()) values[name] = match[at + 1] ?? '';
    } else {
      if (!segment.constraints.every((allows) => allows(value))) return undefined;
      values[segment.name] = value;
    }
  }
  return parts.length > segments.length ? undefined : values;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
