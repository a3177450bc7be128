import { PassThrough, pipeline, Readable } from 'node:stream';
import type { Response } from 'undici';
import { ModelError } from './model.error';
import type { HubClient, HubFile } from './hub.client';

/** For one file: a single connection gets a part of the line that many data centres have. */
const CONNECTIONS = 4;

export interface Incoming {
  /** The server knows no ranges: what comes is the file from its first byte on. */
  readonly whole: boolean;
  /** Ends the connections when it is left. */
  readonly bytes: AsyncGenerator<Buffer>;
}

/**
 * The file's bytes from `start` on, in their order, by several requests at once. Those ahead of the one that is read wait in
 * memory, client.rangeBytes each. A connection that breaks throws once what came before it is read.
 */
export async function incoming(
  client: HubClient,
  file: HubFile,
  start: number,
  variable: string,
): Promise<Incoming> {
  const stop = new AbortController();
  const lengthAt = (from: number) => Math.min(client.rangeBytes, file.size - from);
  const open = (from: number) => client.open(file, { from, length: lengthAt(from) }, variable, stop.signal);

  async function* inOrder(first: Response): AsyncGenerator<Buffer> {
    const ahead = [Promise.resolve(readAhead(first, client.rangeBytes))];
    let asked = start + lengthAt(start);
    for (let at = start; at < file.size; at += lengthAt(at)) {
      for (; ahead.length < CONNECTIONS && asked < file.size; asked += lengthAt(asked)) {
        const body = open(asked).then((reply) => readAhead(reply, client.rangeBytes));
        body.catch(() => undefined); // thrown when it is its turn
        ahead.push(body);
      }
      yield* exactly(lengthAt(at), await ahead.shift()!, file, variable);
    }
  }
  const first = await open(start);
  const whole = first.status !== 206;
  return { whole, bytes: untilLeft(whole ? readable(first) : inOrder(first), stop) };
}

async function* untilLeft(bytes: AsyncIterable<Buffer>, stop: AbortController): AsyncGenerator<Buffer> {
  try {
    yield* bytes;
  } finally {
    stop.abort();
  }
}

/** Goes on reading while nobody takes it, up to `most` bytes. */
function readAhead(reply: Response, most: number): Readable {
  if (reply.status !== 206) throw new Error(`Expected 206 for a range but received ${reply.status}`);
  // Whoever reads it sees the error.
  return pipeline(readable(reply), new PassThrough({ highWaterMark: most }), () => undefined);
}

/** A range that is shorter or longer than was asked for would shift all that follows. */
async function* exactly(
  length: number,
  bytes: AsyncIterable<Buffer>,
  file: HubFile,
  variable: string,
): AsyncGenerator<Buffer> {
  let left = length;
  for await (const chunk of bytes) {
    left -= chunk.length;
    if (left < 0)
      throw new ModelError(`${variable}: the hub sent more bytes for ${file.path} than were asked for.`);
    yield chunk;
  }
  if (left > 0) throw new Error(`${left} of ${length} bytes of a range are missing`);
}

const readable = ({ body }: Response): Readable => (body ? Readable.fromWeb(body) : Readable.from([]));
