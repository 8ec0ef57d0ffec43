/** A change as a CloudEvent 1.0, for both ways of telling it: https://github.com/cloudevents/spec */
import type { FindingChange } from './change.ts';

export interface FindingEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: FindingChange['finding'] & Pick<FindingChange, 'deployment' | 'causedBy'>;
}

const types = {
  appeared: 'OpenWebUI.ControlPlane.FindingAppeared',
  worsened: 'OpenWebUI.ControlPlane.FindingWorsened',
  cleared: 'OpenWebUI.ControlPlane.FindingCleared',
} as const;

export const cloudEventOf = ({
  id,
  deployment,
  change,
  at,
  finding,
  causedBy,
}: FindingChange): FindingEvent => ({
  specversion: '1.0',
  id,
  source: `/deployments/${deployment}`,
  type: types[change],
  subject: finding.resource,
  time: at,
  datacontenttype: 'application/json',
  data: { ...finding, deployment, ...(causedBy === undefined ? {} : { causedBy }) },
});
