import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { EngineFailure } from './engine.errors';
import type { EnginePicture } from './engine.messages';
import type { EngineProcess } from './engine.process';
import type { EngineLease, GeneratedPicture, GenerateListeners, GenerateRequest } from './pipeline.types';

export const draining = () => new ServiceError('draining', 'The service is stopping; try again.');

/** One picture of one engine process, in the words of the service: errors for callers, LoRAs by name. */
export class ReservedEngine implements EngineLease {
  private asked = false;
  private released = false;

  constructor(
    private readonly engine: EngineProcess,
    private readonly config: Config,
    private readonly stopping: AbortSignal,
    private readonly free: () => void,
  ) {}

  async generate(request: GenerateRequest, listeners: GenerateListeners = {}): Promise<GeneratedPicture> {
    if (this.asked || this.released) throw new Error('A lease is for one picture: acquire another');
    this.asked = true;
    try {
      const picture = await this.engine.generate(
        { ...request, loras: request.loras.map(({ path, scale }) => ({ path, scale })) },
        {
          signal: listeners.signal,
          onProgress: (progress) => listeners.onProgress?.(progress),
          onPreview: (preview) => listeners.onPreview?.(preview),
          previewsWanted: async () => (await listeners.previewsWanted?.()) ?? false,
          onDrawn: () => this.release(),
        },
      );
      return this.told(picture, request);
    } catch (error) {
      if (this.stopping.aborted) throw draining();
      throw error instanceof EngineFailure ? explain(error, request) : error;
    } finally {
      this.release();
    }
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.free();
  }

  private told(picture: EnginePicture, request: GenerateRequest): GeneratedPicture {
    const { pixels, width, height, idle } = picture;
    const { text, image, sampling, decode, engine } = picture.timings;
    const timings = {
      text_ms: text,
      image_ms: image,
      sampling_ms: sampling,
      decode_ms: decode,
      engine_ms: engine,
      idle_ms: idle,
    };
    return { pixels, width, height, timings, warnings: this.checkLoras(request, picture) };
  }

  /** A LoRA of which nothing fits is refused by the addon; one that fits in part is told. */
  private checkLoras(request: GenerateRequest, picture: EnginePicture): string[] {
    return request.loras.flatMap((lora) => {
      const applied = picture.loras.find((entry) => entry.path === lora.path);
      const total = Math.max(lora.tensors, applied?.total ?? 0);
      if (applied && applied.applied >= total) return [];
      const sentence = `LoRA "${lora.name}" fits the model only in part: ${applied?.applied ?? 0} of ${total} tensors were applied.`;
      if (this.config.LORA_STRICT) throw new ServiceError('lora_not_applied', sentence, 'loras');
      return [sentence];
    });
  }
}

/** The addon's words name files, and the engine's its sources: they go to the log as the cause. */
function explain(cause: EngineFailure, { loras }: GenerateRequest): Error {
  const error = (code: ServiceError['code'], message: string, param?: string) =>
    new ServiceError(code, message, param, { cause });
  switch (cause.code) {
    case 'cancelled':
      return error('cancelled', 'The request was cancelled.');
    case 'lora_not_applied': {
      const lora = loras.find(({ path }) => cause.message.includes(path));
      return error('lora_not_applied', `Nothing of the LoRA "${lora?.name}" fits the model.`, 'loras');
    }
    case 'out_of_memory': {
      const sentence = 'The picture needs more memory than the device has; ask for a smaller size.';
      return error('out_of_memory', sentence, 'size');
    }
    case 'flat_picture':
      return error('generation_failed', `${cause.message}.`);
    case 'ip_adapter_not_applied':
      return error('generation_failed', 'The engine did not use the reference picture.');
    case 'generation_failed':
      return error('generation_failed', 'The engine gave up on this picture.');
    default:
      return cause;
  }
}
