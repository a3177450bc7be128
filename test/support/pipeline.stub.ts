import {
  PipelineService,
  type GeneratedPicture,
  type GenerateRequest,
  type PipelineStatus,
} from '@app/pipeline';

/** What PipelineService gives the API, settable, for unit specs that must not load an engine. */
export class PipelineStub {
  state: PipelineStatus = { state: 'ready', model: 'demo', waiting: 0 };
  hasIpAdapter = true;
  loraDir?: string;
  readonly requests: GenerateRequest[] = [];
  /** Awaited inside `generate`; replace it to hold or fail a job. */
  work: (signal?: AbortSignal) => Promise<void> = () => Promise.resolve();

  status(): PipelineStatus {
    return this.state;
  }

  async generate(request: GenerateRequest, { signal }: { signal?: AbortSignal }): Promise<GeneratedPicture> {
    this.requests.push(request);
    await this.work(signal);
    const { width, height } = request;
    return {
      pixels: Buffer.alloc(width * height * 3, 7),
      width,
      height,
      timings: {
        queue_ms: 1.2,
        text_ms: 2.6,
        image_ms: 3,
        sampling_ms: 4,
        decode_ms: 5,
        engine_ms: 12,
      },
      warnings: ['a warning'],
    };
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
}
