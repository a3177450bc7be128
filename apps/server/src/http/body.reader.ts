import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import type { Request, Response } from 'express';
import { ServiceError } from '@app/errors';
import { clientLeft } from './client.disconnect';

export interface BodyRules {
  /** Most bytes, as they come. */
  readonly bytes: number;
  /** Milliseconds in which it has to arrive; where it waits for a place, both before and after. */
  readonly timeout: number;
  /** Bytes that have to come in each `window` of milliseconds, but where it waits for a place. */
  readonly pace: { readonly bytes: number; readonly window: number };
  /** Most bytes of one that comes compressed, packed and unpacked; absent: it may not. */
  readonly unpacked?: number;
  /** Above so many bytes a place is needed for the rest; absent: never. */
  readonly place?: { readonly above: number; take(): Promise<void> };
  /** Reads it piece by piece as it comes, and throws what refuses it; absent: it is kept, as a whole. */
  readonly parse?: (chunk: Buffer) => void;
}

const UNPACK: Readonly<Record<string, (bytes: Buffer, options: ZlibOptions) => Promise<Buffer>>> = {
  gzip: promisify<Buffer, ZlibOptions, Buffer>(gunzip),
  deflate: promisify<Buffer, ZlibOptions, Buffer>(inflate),
  br: promisify<Buffer, ZlibOptions, Buffer>(brotliDecompress),
};

/**
 * The body, or undefined when there is none. Express' parsers read what they refuse to its end before they say so; this
 * refuses at once what is announced too large, else at the byte that is too many, and leaves the rest unread.
 */
export async function readBody(
  request: Request,
  response: Response,
  rules: BodyRules,
): Promise<Buffer | undefined> {
  const { 'content-length': length, 'transfer-encoding': chunked, expect } = request.headers;
  if (chunked === undefined && (length === undefined || Number(length) === 0)) return undefined;
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && !(rules.unpacked !== undefined && Object.hasOwn(UNPACK, encoding))) {
    const expected =
      rules.unpacked !== undefined
        ? `not compressed or with ${Object.keys(UNPACK).join(', ')}`
        : 'not compressed';
    throw new ServiceError('invalid_request', `Expected a body ${expected}, by its Content-Encoding`);
  }
  const most = encoding === 'identity' ? rules.bytes : rules.unpacked!;
  if (Number(length) > most) throw tooLarge(most, length);
  if (expect) response.writeContinue();
  const bytes = await receive(request, response, { ...rules, bytes: most });
  return encoding === 'identity' ? bytes : unpack(bytes, encoding, most);
}

async function unpack(bytes: Buffer, encoding: string, most: number): Promise<Buffer> {
  try {
    return await UNPACK[encoding](bytes, { maxOutputLength: most });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(most);
    throw new ServiceError('invalid_request', `Expected a body in ${encoding} but received something else`);
  }
}

function receive(
  request: Request,
  response: Response,
  { bytes, timeout, pace, place, parse }: BodyRules,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const take = parse ?? ((chunk: Buffer) => void chunks.push(chunk));
    let received = 0;
    let seen = 0;
    let stage: 'free' | 'waiting' | 'placed' | 'over' = place ? 'free' : 'placed';

    const end = (settle: () => void) => {
      stage = 'over';
      clearTimeout(timer);
      clearInterval(watch);
      request.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut);
      settle();
    };
    const refuse = (error: Error) => {
      request.pause(); // what is not read holds the sender up
      end(() => reject(error));
    };
    const refuseSlow = (expected: string) => {
      response.setHeader('Connection', 'close'); // nobody waits for the rest
      refuse(new ServiceError('request_timeout', `Expected ${expected}`));
    };
    const onLate = () =>
      stage === 'waiting' ? refuse(noPlace()) : refuseSlow(`the body within ${timeout / 1000} seconds`);
    const look = () => {
      if (stage === 'waiting' || stage === 'over') return;
      if (received - seen < pace.bytes)
        refuseSlow(`at least ${pace.bytes} bytes of the body in each ${pace.window / 1000} seconds`);
      seen = received;
    };
    const onCut = () => refuse(clientLeft());
    const onEnd = () => end(() => resolve(Buffer.concat(chunks)));
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      if (received > bytes) return refuse(tooLarge(bytes));
      try {
        take(chunk);
      } catch (error) {
        return refuse(error as Error);
      }
      if (stage === 'free' && place && received > place.above) void wait(place.take());
    };
    const wait = async (taken: Promise<void>) => {
      stage = 'waiting';
      request.pause();
      await taken;
      if (stage !== 'waiting') return;
      stage = 'placed';
      timer.refresh();
      seen = -Infinity; // the next look only begins to count
      request.resume();
    };

    const timer = setTimeout(onLate, timeout);
    // After what has come is read: a process that was busy must not take it for nothing.
    const watch = setInterval(() => setImmediate(look), pace.window);
    if (request.destroyed) return onCut();
    request.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut);
  });
}

function tooLarge(most: number, announced?: string): ServiceError {
  const sentence = `Expected a body of at most ${most} bytes but received ${announced ?? 'more'}`;
  return new ServiceError('payload_too_large', sentence);
}

const noPlace = () =>
  new ServiceError('queue_full', 'As many pictures arrive as the service takes at a time; send it again');
