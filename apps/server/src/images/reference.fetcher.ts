import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type Agent, fetch, type Response } from 'undici';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { AddressPolicy, guardedAgent, RefusedAddressError, Shares } from '@app/outbound';
import { MAX_PICTURE_BYTES } from '@app/pictures';
import { aboutService } from '../docs/service.version';

const MAX_REDIRECTS = 3;
/** Pictures at a time: each may hold 20 MiB. */
const PLACES = 16;

/** What came of a fetch. `left`: the caller did not wait for it. */
export type FetchOutcome =
  'fetched' | 'refused_address' | 'unreachable' | 'too_slow' | 'not_200' | 'too_large' | 'redirects' | 'left';

/** Whoever counts or traces a fetch. */
export interface FetchWatch {
  /** Sent with it. */
  readonly headers?: Readonly<Record<string, string>>;
  end(outcome: FetchOutcome): void;
}

/** Gets a picture from an address that a stranger chose. */
@Injectable()
export class ReferenceFetcher implements OnApplicationShutdown {
  /** Milliseconds for everything: name, connection, redirects, body. */
  timeout = 10_000;
  /** Milliseconds until an address begins to answer. */
  firstByte = 3000;
  /** Strangers' servers may be as slow as they like, and no other caller must wait for them. */
  readonly places = new Shares(PLACES, 5000);
  /** Asked as each begins, in the scope of its request. */
  watch: (host: string) => FetchWatch = () => ({ end: () => {} });
  private readonly agent: Agent;
  private readonly userAgent: string;

  constructor(config: Config) {
    const { name, version } = aboutService();
    this.userAgent = `${name}/${version}`;
    this.agent = guardedAgent(new AddressPolicy(config.REFERENCE_URL_ALLOW));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.agent.destroy();
  }

  /** The picture's bytes, whatever they are; `invalid_request` says why there are none. `field` had the address. */
  async fetch(address: string, caller: AbortSignal, field = 'reference_image_url'): Promise<Buffer> {
    const { headers, ...watch } = this.watch(URL.canParse(address) ? new URL(address).host : '');
    const timeout = AbortSignal.timeout(this.timeout);
    try {
      const bytes = await this.follow(address, AbortSignal.any([caller, timeout]), headers);
      watch.end('fetched');
      return bytes;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unreachable(error);
      const told = timeout.aborted ? tooSlow(this.timeout, error) : refusal;
      watch.end(caller.aborted ? 'left' : told.outcome);
      throw caller.aborted ? caller.reason : told.about(field);
    }
  }

  private async follow(
    address: string,
    signal: AbortSignal,
    headers: FetchWatch['headers'],
  ): Promise<Buffer> {
    let url = parse(address);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.get(url, signal, headers);
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || !location) return await body(response);
      await response.body?.cancel();
      url = parse(location, url);
    }
    throw invalid(
      'redirects',
      `an address that answers after at most ${MAX_REDIRECTS} redirects`,
      'more of them',
    );
  }

  private async get(url: URL, signal: AbortSignal, headers: FetchWatch['headers']): Promise<Response> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(tooSlow(this.firstByte)), this.firstByte);
    try {
      return await fetch(url, {
        dispatcher: this.agent,
        redirect: 'manual', // each hop is checked like the first
        headers: { ...headers, accept: 'image/png, image/jpeg, image/webp', 'user-agent': this.userAgent },
        signal: AbortSignal.any([signal, silence.signal]),
      });
    } finally {
      clearTimeout(timer);
    }
  }
}

function parse(address: string, base?: URL): URL {
  const url = URL.canParse(address, base?.href) ? new URL(address, base) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    const received = base ? 'a redirect to something else' : 'something else';
    throw invalid('refused_address', 'an http or https address', received);
  }
  if (url.username || url.password)
    throw invalid('refused_address', 'an address without user name and password', 'one with');
  return url;
}

async function body(response: Response): Promise<Buffer> {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw invalid('not_200', 'an address that answers 200', `${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop by an exception cancels the body and with it the connection.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_PICTURE_BYTES) {
      throw invalid(
        'too_large',
        `a picture of at most ${MAX_PICTURE_BYTES / 1024 / 1024} MiB`,
        'a larger body',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const tooSlow = (milliseconds: number, cause?: unknown) =>
  invalid('too_slow', `an answer within ${milliseconds / 1000} seconds`, 'none', cause);

/** One sentence for every way in which a connection fails: details would map the network for a stranger. */
function unreachable(error: unknown): Refusal {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  // By the Fetch standard some ports are refused before anybody looks at the address.
  const refused =
    cause instanceof RefusedAddressError || (cause as Error | undefined)?.message === 'bad port';
  return refused
    ? invalid('refused_address', 'a public address on port 80 or 443', 'another', error)
    : invalid('unreachable', 'an address that can be reached', 'one that cannot', error);
}

class Refusal extends Error {
  constructor(
    readonly outcome: FetchOutcome,
    private readonly expected: string,
    private readonly received: string,
    cause?: unknown,
  ) {
    super(`Expected ${expected} but received ${received}`, { cause });
  }

  about(field: string): ServiceError {
    const sentence = `Expected ${this.expected} for ${field} but received ${this.received}`;
    return new ServiceError('invalid_request', sentence, field, { cause: this.cause });
  }
}

const invalid = (outcome: FetchOutcome, expected: string, received: string, cause?: unknown) =>
  new Refusal(outcome, expected, received, cause);
