import { EventEmitter, once } from 'node:events';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities, type AvailableLora } from './capabilities';

/** What a worker reports about itself. Fields are only ever added: workers and APIs are upgraded one by one. */
export interface WorkerCapabilities {
  readonly model: string;
  readonly ipAdapter: boolean;
  /** Absent: no. */
  readonly photoMaker?: boolean;
  readonly engines: number;
  readonly loras: readonly AvailableLora[];
  /** Pixels of the largest picture that it has the memory for; absent: that is seen when it is drawn. */
  readonly mostPixels?: number;
}

/** Who is there: a worker is forgotten some seconds after it last said so. */
export interface Presence {
  list(): Promise<readonly WorkerCapabilities[]>;
}

/** Milliseconds between questions who is there. */
const INTERVAL = 2_000;

/** Workers elsewhere draw: what all of them can do is offered, or the one that takes the job might refuse it. */
export class FleetCapabilities extends Capabilities implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Fleet');
  private known: readonly WorkerCapabilities[] = [];
  private readonly polls = new EventEmitter<{ poll: [] }>();
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly config: Config,
    private readonly presence: Presence,
  ) {
    super();
  }

  async onApplicationBootstrap(): Promise<void> {
    this.timer = setInterval(() => void this.poll(), INTERVAL).unref();
    await this.poll();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  get workers(): readonly WorkerCapabilities[] {
    return this.known;
  }

  /** With no worker there the job waits for one. */
  get hasIpAdapter(): boolean {
    return this.config.ENABLE_IP_ADAPTER && this.known.every(({ ipAdapter }) => ipAdapter);
  }

  get hasPhotoMaker(): boolean {
    return this.known.every(({ photoMaker }) => photoMaker === true);
  }

  get models(): readonly string[] {
    return [...new Set(this.known.map(({ model }) => model))];
  }

  get engines(): number {
    return Math.max(
      1,
      this.known.reduce((sum, { engines }) => sum + engines, 0),
    );
  }

  /** A worker without the memory leaves the job to another. */
  get mostPixels(): number {
    return this.known.length === 0
      ? Infinity
      : Math.max(...this.known.map(({ mostPixels }) => mostPixels ?? Infinity));
  }

  async whenKnown(signal: AbortSignal): Promise<void> {
    while (this.known.length === 0 && !signal.aborted)
      await once(this.polls, 'poll', { signal }).catch(() => {});
  }

  /** The queue is durable, and workers come and go. */
  assertAccepting(): void {}

  loras(): Promise<readonly AvailableLora[]> {
    const [first, ...others] = this.known;
    const everywhere = (first?.loras ?? []).filter((lora) =>
      others.every(({ loras }) =>
        loras.some(({ name, sha256 }) => name === lora.name && sha256 === lora.sha256),
      ),
    );
    return Promise.resolve(everywhere);
  }

  /** As Capabilities.lora; with no worker there, `engine_not_ready`: what it has is not known. */
  async lora(name: string): Promise<AvailableLora> {
    if (this.known.length === 0) {
      const sentence = 'There is no worker yet, so it is not known which LoRAs there are';
      throw new ServiceError('engine_not_ready', sentence, undefined, { retryAfter: 10 });
    }
    const there = await this.loras();
    const lora = there.find((one) => one.name === name);
    if (lora) return lora;
    const names = there.map((one) => one.name).join(', ') || 'none';
    throw new ServiceError(
      'lora_not_found',
      `There is no LoRA "${name}" on every worker. There are: ${names}.`,
      'loras',
    );
  }

  private async poll(): Promise<void> {
    try {
      this.known = await this.presence.list();
      this.polls.emit('poll');
    } catch (error) {
      this.logger.debug({ err: error }, 'The workers cannot be asked');
    }
  }
}
