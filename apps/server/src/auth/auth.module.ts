import { Logger, Module, type DynamicModule, type OnApplicationBootstrap } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Config, isOpenToOthers } from '@app/config';
import { KeyRing } from './key.ring';
import { RateLimit } from './rate.limit';
import { ScopeGuard } from './scope.guard';

/** Keys and rate limits. app.ts puts them in front of everything, see admission.ts. */
@Module({ providers: [RateLimit, { provide: APP_GUARD, useClass: ScopeGuard }] })
export class AuthModule implements OnApplicationBootstrap {
  /** Throws ConfigError when a list of keys is broken: here, before Nest begins, which would log it with its stack. */
  static forRoot(config: Config): DynamicModule {
    return { module: AuthModule, providers: [{ provide: KeyRing, useValue: new KeyRing(config) }] };
  }

  constructor(private readonly config: Config) {}

  onApplicationBootstrap(): void {
    if (!isOpenToOthers(this.config)) return;
    new Logger('Keys').warn(
      'There are no keys: everybody who reaches this service may call it (ALLOW_ANONYMOUS). API_KEYS_FILE closes it',
    );
  }
}
