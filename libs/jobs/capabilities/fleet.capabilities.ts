import { EventEmitter, once } from 'node:events';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { unknownUpscaler } from '@app/models';
import {
  Capabilities,
  type AvailableEmbedding,
  type AvailableLora,
  type AvailableUpscaler,
} from './capabilities';

/** What a worker can do with one model. */
export interface WorkerModel {
  readonly model: string;
  readonly ipAdapter: boolean;
  /** Absent: no. */
  readonly photoMaker?: boolean;
  readonly loras: readonly AvailableLora[];
  /** Absent: none. */
  readonly upscalers?: readonly AvailableUpscaler[];
  readonly embeddings?: readonly AvailableEmbedding[];
  /** Absent: none. */
  readonly controlNets?: readonly string[];
}

/**
 * What a worker reports about itself, and of the model that it draws with where none is named. Fields are only ever added:
 * workers and APIs are upgraded one by one.
 */
export interface WorkerCapabilities extends WorkerModel {
  readonly engines: number;
  /** All models that it can draw with; absent: that one alone. */
  readonly models?: readonly WorkerModel[];
  /** That its engines have; absent: that one. */
  readonly loaded?: string;
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
    protected readonly config: Config,
    protected readonly presence: Presence,
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
    return this.config.ENABLE_IP_ADAPTER && this.workers.every(({ ipAdapter }) => ipAdapter);
  }

  get hasPhotoMaker(): boolean {
    return this.workers.every(({ photoMaker }) => photoMaker === true);
  }

  get models(): readonly string[] {
    return [...new Set(this.workers.map(({ model }) => model))];
  }

  get loaded(): readonly string[] {
    return [...new Set(this.workers.map(({ loaded, model }) => loaded ?? model))];
  }

  of(model: string): Capabilities {
    return new FleetModel(this.config, this.presence, this, model);
  }

  get engines(): number {
    return Math.max(
      1,
      this.workers.reduce((sum, { engines }) => sum + engines, 0),
    );
  }

  get hasWorkers(): boolean {
    return this.workers.length > 0;
  }

  /** A worker without the memory leaves the job to another. */
  get mostPixels(): number {
    return this.workers.length === 0
      ? Infinity
      : Math.max(...this.workers.map(({ mostPixels }) => mostPixels ?? Infinity));
  }

  async whenKnown(signal: AbortSignal): Promise<void> {
    while (this.known.length === 0 && !signal.aborted)
      await once(this.polls, 'poll', { signal }).catch(() => {});
  }

  /** The queue is durable, and workers come and go. */
  assertAccepting(): void {}

  get embeddings(): readonly AvailableEmbedding[] {
    return this.everywhere(({ embeddings = [] }) => embeddings);
  }

  get controlNets(): readonly string[] {
    const [first = [], ...others] = this.workers.map(({ controlNets = [] }) => controlNets);
    return first.filter((name) => others.every((names) => names.includes(name)));
  }

  loras(): Promise<readonly AvailableLora[]> {
    return Promise.resolve(this.everywhere(({ loras }) => loras));
  }

  /** As Capabilities.lora; with no worker there, `engine_not_ready`: what it has is not known. */
  async lora(name: string): Promise<AvailableLora> {
    this.assertKnown('LoRAs');
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

  upscalers(): Promise<readonly AvailableUpscaler[]> {
    return Promise.resolve(this.everywhere(({ upscalers = [] }) => upscalers));
  }

  /** Likewise. */
  async upscaler(name: string): Promise<AvailableUpscaler> {
    this.assertKnown('upscalers');
    const there = await this.upscalers();
    const upscaler = there.find((one) => one.name === name);
    if (upscaler) return upscaler;
    const names = there.map((one) => one.name);
    throw unknownUpscaler(name, names, ' on every worker');
  }

  private assertKnown(what: string): void {
    if (this.workers.length > 0) return;
    const sentence = `There is no worker yet, so it is not known which ${what} there are`;
    throw new ServiceError('engine_not_ready', sentence, undefined, { retryAfter: 10 });
  }

  /** What every worker has, as the same file. */
  private everywhere<File extends { readonly name: string; readonly sha256: string }>(
    filesOf: (worker: WorkerCapabilities) => readonly File[],
  ): readonly File[] {
    const [first, ...others] = this.workers.map(filesOf);
    const same = (one: File) => (other: File) => one.name === other.name && one.sha256 === other.sha256;
    return (first ?? []).filter((file) => others.every((files) => files.some(same(file))));
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

/** The workers that have one model. */
class FleetModel extends FleetCapabilities {
  constructor(
    config: Config,
    presence: Presence,
    private readonly fleet: FleetCapabilities,
    private readonly model: string,
  ) {
    super(config, presence);
  }

  override get workers(): readonly WorkerCapabilities[] {
    return this.fleet.workers.flatMap((worker) =>
      modelsOf(worker)
        .filter(({ model }) => model === this.model)
        .map((own) => ({ ...worker, ...own })),
    );
  }

  override assertAccepting(): void {
    if (this.fleet.workers.length === 0 || this.workers.length > 0) return;
    const sentence = `No worker has the model ${this.model} yet`;
    throw new ServiceError('engine_not_ready', sentence, 'model', { retryAfter: 30 });
  }
}

export const modelsOf = (worker: WorkerCapabilities): readonly WorkerModel[] => worker.models ?? [worker];
