import { EventEmitter, once } from 'node:events';
import {
  OutOfMemory,
  PipelineService,
  type EngineLease,
  type EngineStatus,
  type EngineWish,
  type GeneratedPicture,
  type GenerateListeners,
  type GenerateRequest,
  type PipelineStatus,
} from '@app/pipeline';
import { drainingError, Fifo } from '@app/lifecycle';
import { loraSet } from '../../libs/pipeline/lora.set';

/** What callers need of a lease. */
type Lease = Pick<EngineLease, 'id' | 'generate' | 'release'>;

const NONE: ReadonlySet<number> = new Set();

/** What PipelineService gives the API, settable, for unit specs that must not load an engine. */
export class PipelineStub {
  state: Omit<PipelineStatus, 'engines' | 'everReady'> = { state: 'ready', model: 'demo' };
  /** As many are drawn with at a time, in turn. */
  engines: readonly EngineStatus[] = [{ id: 0, state: 'ready' }];
  everReady = true;
  switches = 0;
  hasIpAdapter = true;
  hasPhotoMaker = false;
  loraDir?: string;
  upscalerDir?: string;
  embeddings: PipelineService['loaded']['embeddings'] = [];
  controlNets: PipelineService['loaded']['controlNets'] = [];
  /** The one model that there is. */
  readonly models = {
    several: false,
    all: [this.loaded],
    loaded: this.loaded,
    isOffered: true,
    get: () => this.loaded,
  };
  readonly requests: GenerateRequest[] = [];
  /** Which engine drew each. */
  readonly drawers: number[] = [];
  /** Engines that failed what others did not. */
  readonly ejected: number[] = [];
  /** Awaited inside `generate`; replace it to hold or fail a job, or to tell its listeners something. */
  work: (signal?: AbortSignal, listeners?: GenerateListeners) => Promise<void> = () => Promise.resolve();

  /** RGB of what is drawn; absent: one grey. */
  paint?: (request: GenerateRequest) => Buffer;

  /** The set of LoRAs that the engines have merged; absent: they merge none. */
  merged?: string;
  /** Pixels of the largest picture, by engine; absent: any. */
  mostOf: Readonly<Record<number, number>> = {};

  private readonly line = new Fifo<Lease, EngineWish>();
  private readonly changes = new EventEmitter<{ change: [] }>();
  private readonly stopping = new AbortController();
  private readonly taken = new Set<number>();

  status(): PipelineStatus {
    return { ...this.state, engines: this.engines, everReady: this.everReady };
  }

  get name(): string {
    return this.state.model;
  }

  get loaded(): this {
    return this;
  }

  get draws(): boolean {
    return ['ready', 'busy'].includes(this.state.state);
  }

  /** How many wait for an engine. */
  get waiting(): number {
    return this.line.length;
  }

  /** From now on it is in this state, and says so. */
  become(state: PipelineStatus['state']): void {
    this.state = { ...this.state, state };
    this.changes.emit('change');
  }

  onChange(listener: () => void): void {
    this.changes.on('change', listener);
  }

  async whenReady(signal?: AbortSignal): Promise<void> {
    while (!this.draws && !signal?.aborted) await once(this.changes, 'change', { signal }).catch(() => {});
  }

  get most(): number {
    const most = this.engines.map(({ id }) => this.mostOf[id] ?? Infinity);
    return most.length === 0 ? Infinity : Math.max(...most);
  }

  drawsEverywhere(size: EngineWish['size']): boolean {
    return this.engines.every(({ id }) => this.fits(id, size));
  }

  hasMerged(loras: EngineWish['loras'] = []): boolean {
    return this.merged === undefined || this.merged === loraSet(loras);
  }

  /** As if nothing were planned, where no size is given. */
  drawsElsewhere(size: EngineWish['size'], than: ReadonlySet<number>, planned = false): boolean {
    return this.engines.some(
      ({ id }) => !than.has(id) && this.fits(id, size) && (!planned || this.mostOf[id] !== undefined),
    );
  }

  eject(id: number): () => void {
    this.ejected.push(id);
    return () => this.ejected.splice(this.ejected.indexOf(id), 1);
  }

  acquire(wish: EngineWish = {}): Promise<Lease> {
    if (this.stopping.signal.aborted) return Promise.reject(this.stopping.signal.reason as Error);
    const { width = 0, height = 0 } = wish.size ?? {};
    if (width * height > this.most) return Promise.reject(new OutOfMemory('Too large', false));
    if (wish.otherwise && this.state.state === 'failed') return Promise.reject(wish.otherwise);
    const lease = this.line.join(wish.signal, wish);
    this.serve();
    return lease;
  }

  stop(): Promise<void> {
    this.stopping.abort(drainingError());
    this.line.dismiss(drainingError);
    return Promise.resolve();
  }

  as(): PipelineService {
    return this as unknown as PipelineService;
  }

  /** Makes `generate` wait until it is aborted, as the real one does; resolves once it was called. */
  hold(): Promise<void> {
    return new Promise((called) => {
      this.work = (signal) =>
        new Promise((_resolve, reject) => {
          called();
          signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        });
    });
  }

  private fits(id: number, { width, height } = { width: 0, height: 0 }): boolean {
    return width * height <= (this.mostOf[id] ?? Infinity);
  }

  private serve(): void {
    for (const { id } of this.engines)
      if (!this.taken.has(id))
        this.line.serve(
          () => this.lease(id),
          ({ size, avoid = NONE } = {}) =>
            this.fits(id, size) && !(avoid.has(id) && this.drawsElsewhere(size, avoid)),
          (wish) => this.hasMerged(wish?.loras),
        );
  }

  private lease(id: number): Lease {
    this.taken.add(id);
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.taken.delete(id);
      this.serve();
    };
    const generate: Lease['generate'] = async (request, listeners = {}, { hold = false } = {}) => {
      let held = false;
      try {
        const picture = await this.generate(id, request, listeners);
        held = hold;
        return picture;
      } finally {
        if (!held) release();
      }
    };
    return { id, generate, release };
  }

  private async generate(
    id: number,
    request: GenerateRequest,
    listeners: GenerateListeners,
  ): Promise<GeneratedPicture> {
    this.requests.push(request);
    this.drawers.push(id);
    if (this.merged !== undefined) this.merged = loraSet(request.loras);
    const signal = AbortSignal.any([this.stopping.signal, ...(listeners.signal ? [listeners.signal] : [])]);
    await this.work(signal, listeners);
    const { count = 1, upscaler, hires = request } = request;
    // Every upscaler of a spec doubles the sides.
    const [width, height] = [hires.width, hires.height].map((side) => side * (upscaler ? 2 : 1));
    return {
      pixels:
        this.paint?.(request) ??
        Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.alloc(width * height * 3, 7 + i))),
      width,
      height,
      timings: { text: 2.6, image: 3, sampling: 4, decode: 5, engine: 12 },
      idle: 1.2,
      warnings: ['a warning'],
      mergedAnew: false,
    };
  }
}
