import { Logger, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Config, isOpenToOthers } from '@app/config';
import { KeyRing } from './key.ring';
import { RateLimit } from './rate.limit';
import { ScopeGuard } from './scope.guard';

/** Keys and rate limits. app.ts puts them in front of everything, see admission.ts. */
@Module({ providers: [KeyRing, RateLimit, { provide: APP_GUARD, useClass: ScopeGuard }] })
export class AccessModule implements OnApplicationBootstrap {
  constructor(private readonly config: Config) {}

  onApplicationBootstrap(): void {
    if (!isOpenToOthers(this.config)) return;
    new Logger('Keys').warn(
      'There are no keys: everybody who reaches this service may call it (ALLOW_ANONYMOUS). API_KEYS_FILE closes it',
    );
  }
}
