import { ServiceError } from '@app/errors';
import {
  PipelineService,
  type EngineLease,
  type EngineStatus,
  type GeneratedPicture,
  type GenerateListeners,
  type GenerateRequest,
  type PipelineStatus,
} from '@app/pipeline';
import { WaitingLine } from '../../libs/pipeline/waiting.line';

/** What PipelineService gives the API, settable, for unit specs that must not load an engine. */
export class PipelineStub {
  state: Omit<PipelineStatus, 'engines' | 'everReady'> = { state: 'ready', model: 'demo' };
  /** As many are drawn with at a time, in turn. */
  engines: readonly EngineStatus[] = [{ id: 0, state: 'ready' }];
  everReady = true;
  hasIpAdapter = true;
  loraDir?: string;
  readonly requests: GenerateRequest[] = [];
  /** Awaited inside `generate`; replace it to hold or fail a job, or to tell its listeners something. */
  work: (signal?: AbortSignal, listeners?: GenerateListeners) => Promise<void> = () => Promise.resolve();

  private readonly line = new WaitingLine<EngineLease>();
  private readonly stopping = new AbortController();
  private taken = 0;

  status(): PipelineStatus {
    return { ...this.state, engines: this.engines, everReady: this.everReady };
  }

  acquire(signal?: AbortSignal): Promise<EngineLease> {
    if (this.stopping.signal.aborted) return Promise.reject(this.stopping.signal.reason as Error);
    const lease = this.line.join(signal);
    this.serve();
    return lease;
  }

  stop(): Promise<void> {
    const draining = new ServiceError('draining', 'The service is stopping');
    this.stopping.abort(draining);
    this.line.dismiss(draining);
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

  private serve(): void {
    while (this.taken < this.engines.length && this.line.serve(this.lease())) this.taken++;
  }

  private lease(): EngineLease {
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.taken--;
      this.serve();
    };
    const generate = (request: GenerateRequest, listeners: GenerateListeners = {}) =>
      this.generate(request, listeners).finally(release);
    return { generate, release };
  }

  private async generate(request: GenerateRequest, listeners: GenerateListeners): Promise<GeneratedPicture> {
    this.requests.push(request);
    const signal = AbortSignal.any([this.stopping.signal, ...(listeners.signal ? [listeners.signal] : [])]);
    await this.work(signal, listeners);
    const { width, height } = request;
    return {
      pixels: Buffer.alloc(width * height * 3, 7),
      width,
      height,
      timings: { text_ms: 2.6, image_ms: 3, sampling_ms: 4, decode_ms: 5, engine_ms: 12, idle_ms: 1.2 },
      warnings: ['a warning'],
    };
  }
}
