import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { Config } from '@app/config';
import { Storage } from '@app/storage';

/** milliseconds */
const MS = {
  /** Probes come from many sides: a look serves all of them for this long. */
  fresh: 5_000,
  /** Longest that a probe waits for a look; those of Kubernetes give up after a second by default. */
  patience: 800,
};

interface Look {
  readonly at: number;
  /** Why nothing can be stored; undefined: it can. */
  readonly failure?: string;
}

/** Whether pictures can be stored and read. */
@Injectable()
export class StorageHealth {
  private last?: Look;
  private looking?: Promise<void>;

  constructor(
    private readonly config: Config,
    private readonly indicator: HealthIndicatorService,
    private readonly storage: Storage,
  ) {}

  async check(more: { readonly reason?: string } = {}): Promise<HealthIndicatorResult<'storage'>> {
    const reason = more.reason ?? (await this.failure());
    const data = {
      driver: this.config.S3_BUCKET_NAME ? 's3' : 'local',
      ...more,
      ...(reason !== undefined && { reason }),
    };
    const indicator = this.indicator.check('storage');
    return reason === undefined ? indicator.up(data) : indicator.down(data);
  }

  /** Why it does not serve, in a sentence. Never waits long: while it is looked at, the look before counts. */
  async failure(): Promise<string | undefined> {
    if (!this.last || performance.now() - this.last.at >= MS.fresh) {
      this.looking ??= this.look().finally(() => (this.looking = undefined));
      const patience = new AbortController();
      await Promise.race([this.looking, sleep(MS.patience, undefined, patience).catch(() => {})]);
      patience.abort();
    }
    return this.last ? this.last.failure : 'The storage has not answered yet';
  }

  private async look(): Promise<void> {
    const failure = await this.storage.check().then(
      () => undefined,
      (error: Error) => error.message,
    );
    this.last = { at: performance.now(), failure };
  }
}
