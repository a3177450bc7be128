import type { AddressInfo } from 'node:net';
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Config } from '@app/config';

/** Where callers find this service. */
@Injectable()
export class Links {
  constructor(
    private readonly config: Config,
    private readonly adapter: HttpAdapterHost,
  ) {}

  /** `key` as a path of GET /images/{key}; its slashes stay slashes. */
  picture(key: string): string {
    return `${this.service()}/images/${key.split('/').map(encodeURIComponent).join('/')}`;
  }

  private service(): string {
    if (this.config.SERVICE_URL) return this.config.SERVICE_URL.replace(/\/+$/, '');
    // PORT 0 takes a free one, so only the listening server knows it.
    const server = this.adapter.httpAdapter.getHttpServer() as { address(): AddressInfo | null };
    return `http://localhost:${server.address()?.port ?? this.config.PORT}`;
  }
}
