import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { components, paths } from './openapi.types';
import type { Job, PictureReply } from './types';

type Documented =
  paths['/v1/jobs/{id}/events']['get']['responses'][200]['content']['text/event-stream']['event'];

interface Data {
  readonly state: { readonly state: Job['state']; readonly attempts?: number };
  readonly progress: components['schemas']['ProgressReply'];
  /** `jpeg` in base64. */
  readonly preview: {
    readonly step: number;
    readonly width: number;
    readonly height: number;
    readonly jpeg: string;
  };
  readonly result: PictureReply;
  readonly error: components['schemas']['ErrorDetail'];
  readonly closing: Record<string, never>;
}

type Of<E extends Documented> = { readonly event: E; readonly id?: string; readonly data: Data[E] };

/** One event of a job. `result` or `error` is the last. */
export type JobEvent = { [E in Documented]: Of<E> }[Documented];

/** The events of one connection, until it ends or breaks. `onRetry`: the milliseconds after which to come back. */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onRetry: (milliseconds: number) => void,
): AsyncGenerator<JobEvent> {
  const messages = body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ onRetry }));
  for await (const { event, id, data } of messages) {
    yield { event, id, data: JSON.parse(data) as unknown } as JobEvent;
  }
}
