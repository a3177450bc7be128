import { Module } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { canSign, Config } from '@app/config';
import { Jobs } from '@app/jobs';
import { Storage, StorageModule } from '@app/storage';
import { LinkSigner } from './link.signer';
import { Links } from './links';
import { urlSecret } from './url.secret';

/** Seconds that a signed link is valid where URL_EXPIRY does not say: a day. */
const LIFETIME = 86_400;

/** Links to pictures and to jobs' events: made for replies, checked by the routes that they lead to. */
@Module({
  imports: [StorageModule],
  providers: [
    {
      provide: Links,
      // After Jobs: whoever has these has DATA_DIR for itself, and two that start at once do not both make a secret.
      inject: [Config, HttpAdapterHost, Storage, Jobs],
      useFactory: openLinks,
    },
  ],
  exports: [Links],
})
export class LinksModule {}

async function openLinks(config: Config, adapter: HttpAdapterHost, storage: Storage): Promise<Links> {
  const signer = canSign(config)
    ? new LinkSigner(await urlSecret(config), config.URL_EXPIRY ?? LIFETIME)
    : undefined;
  return new Links(config, adapter, storage, signer);
}
