/** Label selectors (as text and as objects) and field selectors. */
import { at, type KubeObject } from '../object.ts';
import { type Kind, resourceKey } from './kinds.ts';
import { badRequest } from './status-error.ts';

type Labels = Readonly<Record<string, string>> | undefined;

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** Whether labels fit a selector object; an empty selector fits everything, a missing one nothing. */
export function matchesLabels(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (!selector) return false;
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
      key,
      operator: 'In',
      values: [value],
    })),
    ...(selector.matchExpressions ?? []).map((one) => ({ ...one, values: one.values ?? [] })),
  ].every((requirement) => fits(requirement, labels));
}

export function hasLabels(wanted: Readonly<Record<string, string>>, labels: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}

function fits({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = labels?.[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Throws 400 on anything else. */
export function parseLabelSelector(text: string): (labels: Labels) => boolean {
  const requirements: Requirement[] = [];
  for (const part of text.split(/,(?![^(]*\))/).map((piece) => piece.trim())) {
    if (part === '') continue;
    const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(part);
    const equal = /^([^=!\s]+)\s*(==|=|!=)\s*(.*)$/.exec(part);
    const exists = /^(!?)\s*([^=!\s()]+)$/.exec(part);
    if (set) {
      const values = (set[3] ?? '').split(',').map((value) => value.trim());
      requirements.push({ key: set[1] ?? '', operator: set[2] === 'in' ? 'In' : 'NotIn', values });
    } else if (equal) {
      const operator = equal[2] === '!=' ? 'NotIn' : 'In';
      requirements.push({ key: equal[1] ?? '', operator, values: [(equal[3] ?? '').trim()] });
    } else if (exists) {
      requirements.push({
        key: exists[2] ?? '',
        operator: exists[1] ? 'DoesNotExist' : 'Exists',
        values: [],
      });
    } else {
      throw badRequest(`unable to parse requirement: found '${part}'`);
    }
  }
  return (labels) => requirements.every((requirement) => fits(requirement, labels));
}

/** Field labels beyond metadata.name and metadata.namespace, by resource. */
const FIELD_LABELS: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  secrets: ['type'],
  namespaces: ['status.phase'],
  nodes: ['spec.unschedulable'],
  'replicasets.apps': ['status.replicas'],
};

/** `a=b,c!=d` over the fields this kind can be selected by. Throws 400 on another field. */
export function parseFieldSelector(text: string, kind: Kind): (object: KubeObject) => boolean {
  const allowed = ['metadata.name', 'metadata.namespace', ...(FIELD_LABELS[resourceKey(kind)] ?? [])];
  const tests = text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part);
      if (!match) throw badRequest(`invalid field selector: '${part}'; can't understand '${part}'`);
      const [, field = '', operator, value = ''] = match;
      if (!allowed.includes(field)) throw badRequest(`field label not supported: ${field}`);
      const path = field === 'source' ? ['source', 'component'] : field.split('.');
      return (object: KubeObject): boolean =>
        (String(at(object, ...path) ?? '') === value) === (operator !== '!=');
    });
  return (object) => tests.every((test) => test(object));
}
