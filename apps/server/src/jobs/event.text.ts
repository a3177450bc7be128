import type { JobRecord, StoredEvent } from '@app/jobs';
import { toProgress } from './job.presenter';

/** The id of the last event of a stream: who comes back with it has seen everything. */
export const END_ID = 'end';

/** One event of a text/event-stream. JSON is one line, which is what `data:` holds. */
export function eventText(name: string, data: object, id?: string): string {
  const line = id === undefined ? '' : `id: ${id}\n`;
  return `${line}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A job may have a thousand readers, and all are handed the same object. */
const texts = new WeakMap<StoredEvent, string>();

export function textOf(event: StoredEvent): string {
  let text = texts.get(event);
  if (text === undefined) texts.set(event, (text = render(event)));
  return text;
}

function render(event: StoredEvent): string {
  switch (event.type) {
    case 'state':
      return stateText(event, event.id);
    case 'progress':
      return eventText('progress', toProgress(event.progress), event.id);
    case 'preview': {
      const { step, width, height, jpeg } = event.preview;
      return eventText('preview', { step, width, height, jpeg });
    }
  }
}

export const stateText = (
  { state, attempts }: Pick<JobRecord, 'state'> & { readonly attempts?: number },
  id?: string,
): string => eventText('state', { state, attempts }, id);
