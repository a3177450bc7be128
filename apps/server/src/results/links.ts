import type { AddressInfo } from 'node:net';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Request } from 'express';
import { hasKeys, type Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { contentTypeOf } from '@app/pictures';
import type { Storage } from '@app/storage';
import { apiKeyOf, assertScope, presented, unauthorized, type ApiKey } from '../auth/api.key';
import type { LinkSigner } from './link.signer';

/** How a request was let in where a signature may. */
export interface Admission {
  /** For which its link is good; absent: it came in without one. */
  readonly seconds?: number;
  /** The key that let it in; absent: the link did, or none is needed. */
  readonly access?: ApiKey;
}

/** What a link to a job's events signs, in place of a picture's key: none begins with a slash. */
export const eventsOf = (id: string): string => `/v1/jobs/${id}/events`;

/** Where callers find pictures, in the bucket by a presigned link or at this service, and jobs' events; `signer` signs what leads here. */
export class Links {
  constructor(
    private readonly config: Config,
    private readonly adapter: HttpAdapterHost,
    private readonly storage: Storage,
    private readonly signer?: LinkSigner,
  ) {}

  /** A link that opens the picture `key` from now on; where links expire, each call makes a fresh one. */
  async picture(key: string): Promise<string> {
    const { URL_EXPIRY } = this.config;
    const presigned = URL_EXPIRY && (await this.storage.presign(key, URL_EXPIRY, contentTypeOf(key)));
    if (presigned) return presigned;
    // A path of GET /images/{key}; its slashes stay slashes.
    const link = `${this.service()}/images/${key.split('/').map(encodeURIComponent).join('/')}`;
    return this.signer ? `${link}?${this.signer.sign(key)}` : link;
  }

  /**
   * A link that follows the job `id` from now on, also for a page's EventSource, which sends no key; undefined where
   * callers need keys and nothing signs.
   */
  events(id: string): string | undefined {
    const path = eventsOf(id);
    const link = this.service() + path;
    if (this.signer) return `${link}?${this.signer.sign(path)}`;
    return hasKeys(this.config) ? undefined : link;
  }

  /**
   * Lets a request in to what `signed` names: by the signature that it carries, whatever key comes beside it, else by a
   * key that may read. Throws `unauthorized`, `forbidden`.
   */
  admit(signed: string, request: Request): Admission {
    const seconds = this.secondsLeft(signed, request.query);
    if (seconds !== undefined || !hasKeys(this.config)) return { seconds };
    const access = apiKeyOf(request);
    if (!access) throw refusal(request);
    assertScope(access, 'read');
    return { access };
  }

  /** Seconds for which a link of this service with this query still opens `key`; undefined when it does not. */
  secondsLeft(key: string, query: object): number | undefined {
    return this.signer?.secondsLeft(key, query);
  }

  private service(): string {
    if (this.config.SERVICE_URL) return this.config.SERVICE_URL.replace(/\/+$/, '');
    // PORT 0 takes a free one, so only the listening server knows it.
    const server = this.adapter.httpAdapter.getHttpServer() as { address(): AddressInfo | null };
    return `http://localhost:${server.address()?.port ?? this.config.PORT}`;
  }
}

function refusal(request: Request): ServiceError {
  if (request.headers.authorization !== undefined && !('signature' in request.query)) {
    return unauthorized(presented(request));
  }
  const sentence =
    'This link is unsigned or has expired: GET /v1/jobs/{id} has a fresh one, and a caller with a key needs none';
  return new ServiceError('unauthorized', sentence);
}
