import type { AddressInfo } from 'node:net';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Config } from '@app/config';
import type { Storage } from '@app/storage';
import type { LinkSigner } from './link.signer';

/** Where callers find pictures: in the bucket by a presigned link, or at this service, where `signer` may sign it. */
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
    const presigned = URL_EXPIRY && (await this.storage.presign(key, URL_EXPIRY));
    if (presigned) return presigned;
    // A path of GET /images/{key}; its slashes stay slashes.
    const link = `${this.service()}/images/${key.split('/').map(encodeURIComponent).join('/')}`;
    return this.signer ? `${link}?${this.signer.sign(key)}` : link;
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
