import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import createRoutes, { type Client } from 'openapi-fetch';
import { ImageServiceError, refusal, unwrap } from './errors';
import { readEvents, type JobEvent } from './events';
import type { components, paths } from './openapi.types';
import { retrying } from './retry';
import type { DrawRequest, DrawRoute, Job, Picture, PictureReply } from './types';

export interface ClientOptions {
  /** Where the service is, such as `http://localhost:8000`. */
  readonly baseUrl: string;
  /** A key of the service, where it needs one. */
  readonly apiKey?: string;
  /** How often a request is sent again: 2. */
  readonly maxRetries?: number;
  readonly fetch?: (request: Request) => Promise<Response>;
}

export interface WaitOptions {
  /** Also sends `preview` events: small pictures of how far the sampling is. */
  readonly previews?: boolean;
  readonly onEvent?: (event: JobEvent) => void;
  readonly signal?: AbortSignal;
}

export interface SubmitOptions {
  /** The same key and request get the same job for 24 hours. Left out: one of its own, so that retries make no second picture. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface DrawOptions extends WaitOptions, SubmitOptions {}

/** Milliseconds after which a stream that ended early is opened again, where the service names no others. */
const RECONNECT = 3000;

export class ImageServiceClient {
  /** Every route as openapi.json has it: `unwrap(await client.routes.GET('/v1/loras'))`. */
  readonly routes: Client<paths>;
  private readonly send: (request: Request) => Promise<Response>;

  constructor({ baseUrl, apiKey, maxRetries = 2, fetch = globalThis.fetch }: ClientOptions) {
    this.send = retrying(fetch, maxRetries);
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    this.routes = createRoutes<paths>({ baseUrl, headers, fetch: this.send });
  }

  /** Submits and waits for the picture. `signal` aborted: the job is cancelled. */
  async draw<R extends DrawRoute>(
    route: R,
    request: DrawRequest<R>,
    options: DrawOptions = {},
  ): Promise<PictureReply> {
    const { id } = await this.submit(route, request, options);
    try {
      return await this.wait(id, options);
    } catch (error) {
      if (options.signal?.aborted) await this.cancel(id).catch(() => {});
      throw error;
    }
  }

  /** Resolves once the job is accepted. */
  async submit<R extends DrawRoute>(
    route: R,
    request: DrawRequest<R>,
    { idempotencyKey = randomUUID(), signal }: SubmitOptions = {},
  ): Promise<Job> {
    const header = { Prefer: 'respond-async', 'Idempotency-Key': idempotencyKey };
    // Asked like this the routes answer alike; they differ in their bodies, which R has checked.
    const path = `/v1/images/${route}` as '/v1/images/memory';
    const reply = unwrap(
      await this.routes.POST(path, { params: { header }, body: request as never, signal }),
    );
    // The same key again, and its job is done: the picture comes at once.
    return 'state' in reply ? reply : this.job(reply.id, signal);
  }

  /** Resolves to the picture once the job has succeeded. Throws ImageServiceError where it ends in another way. */
  async wait(id: string, { onEvent, ...options }: WaitOptions = {}): Promise<PictureReply> {
    for await (const event of this.events(id, options)) {
      onEvent?.(event);
      if (event.event === 'result') return event.data;
      if (event.event === 'error') throw new ImageServiceError(event.data);
    }
    throw new ImageServiceError({ message: `The events of job ${id} ended without an outcome` });
  }

  /** A job's events to the last, over as many connections as it takes. */
  async *events(
    id: string,
    { previews, signal }: Omit<WaitOptions, 'onEvent'> = {},
  ): AsyncGenerator<JobEvent> {
    let last: string | undefined;
    let pause = RECONNECT;
    for (;;) {
      const params = { path: { id }, query: { previews }, header: { 'Last-Event-ID': last } };
      const body = unwrap(
        await this.routes.GET('/v1/jobs/{id}/events', { params, parseAs: 'stream', signal }),
      );
      if (!body) return; // 204: nothing follows
      try {
        for await (const event of readEvents(body, (milliseconds) => (pause = milliseconds))) {
          last = event.id ?? last;
          yield event;
          if (event.event === 'result' || event.event === 'error') return;
        }
      } catch (error) {
        if (signal?.aborted) throw error;
        // Else the connection broke.
      }
      await sleep(pause, undefined, { signal });
    }
  }

  async job(id: string, signal?: AbortSignal): Promise<Job> {
    return unwrap(await this.routes.GET('/v1/jobs/{id}', { params: { path: { id } }, signal }));
  }

  /** Cancels a job that waits or runs; one that has ended is deleted, with its picture. */
  async cancel(id: string): Promise<void> {
    unwrap(await this.routes.DELETE('/v1/jobs/{id}', { params: { path: { id } } }));
  }

  /** The bytes of a picture, by its link: that takes no key, and may lead to another host. */
  async download({ url }: Pick<Picture, 'url'>, signal?: AbortSignal): Promise<Uint8Array> {
    const response = await this.send(new Request(url, { signal }));
    if (!response.ok) throw refusal(response, await response.json().catch(() => undefined));
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Stores a user's avatar, which `memory` draws from, or photo, which `subject` does: a PNG, JPEG or WebP file. */
  async storePicture(
    user_id: string,
    kind: 'avatar' | 'photo',
    file: Uint8Array | Blob,
  ): Promise<components['schemas']['UserPictureReply']> {
    const path = `/v1/users/{user_id}/${kind}` as const;
    return unwrap(await this.routes.PUT(path, { params: { path: { user_id } }, ...bytes(file) }));
  }

  /** Stores one more photo of a user, who may have 8: the reply says which it is. Sent again it would be another. */
  async addPhoto(
    user_id: string,
    file: Uint8Array | Blob,
  ): Promise<components['schemas']['UserPictureReply']> {
    const path = '/v1/users/{user_id}/photos';
    return unwrap(await this.routes.POST(path, { params: { path: { user_id } }, ...bytes(file) }));
  }
}

/** A file as the body of a request. */
const bytes = (file: Uint8Array | Blob) => ({
  headers: { 'content-type': 'application/octet-stream' },
  body: file as never,
  bodySerializer: (body: unknown) => body as Uint8Array<ArrayBuffer>,
});
