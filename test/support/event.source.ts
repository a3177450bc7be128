import { assertEventDescribed } from './described';

/** One server-sent event. */
export interface Sent {
  readonly id?: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** Events of a stream until the server closes it, by its own rules: fields in lines, events between empty lines. */
export async function* readEvents(url: string, headers: Record<string, string> = {}): AsyncGenerator<Sent> {
  const response = await fetch(url, { headers });
  if (!response.ok) throw new Error(`Expected a stream but received ${response.status}`);
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block
          .split('\n')
          .filter((line) => !line.startsWith(':'))
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      if (fields.event === undefined) continue;
      assertEventDescribed(fields);
      yield { id: fields.id, event: fields.event, data: JSON.parse(fields.data) as Sent['data'] };
    }
  }
}

export async function allEvents(url: string, headers?: Record<string, string>): Promise<Sent[]> {
  const events: Sent[] = [];
  for await (const event of readEvents(url, headers)) events.push(event);
  return events;
}

/** As allEvents, but resolves once the stream is open: `rest` is what it will have told when it ends. */
export async function followEvents(url: string): Promise<{ readonly rest: Promise<Sent[]> }> {
  const stream = readEvents(url);
  const first = await stream.next();
  const read = async () => {
    const events = first.done ? [] : [first.value];
    for await (const event of stream) events.push(event);
    return events;
  };
  return { rest: read() };
}
