/** An event on its way, and the two forms in which it is delivered. https://learn.microsoft.com/azure/event-grid/event-schema */

export interface GridEvent {
  readonly id: string;
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  /** ISO 8601, virtual time. */
  readonly eventTime: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly dataVersion: string;
}

export type DeliverySchema = 'EventGridSchema' | 'CloudEventSchemaV1_0';

/** One event per delivery, the default: an array of one, or a single CloudEvent. */
export function envelopeOf(
  event: GridEvent,
  schema: DeliverySchema,
): { readonly contentType: string; readonly body: string } {
  const { id, topic, subject, eventType, eventTime, data, dataVersion } = event;
  if (schema === 'EventGridSchema') {
    return {
      contentType: 'application/json; charset=utf-8',
      body: JSON.stringify([
        { id, topic, subject, eventType, eventTime, data, dataVersion, metadataVersion: '1' },
      ]),
    };
  }
  return {
    contentType: 'application/cloudevents+json; charset=utf-8',
    body: JSON.stringify({
      id,
      source: topic,
      subject,
      type: eventType,
      time: eventTime,
      data,
      specversion: '1.0',
    }),
  };
}
