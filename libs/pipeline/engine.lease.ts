import { stat } from 'node:fs/promises';
import type { Config, Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { drawnSize } from '@app/models/family';
import { isUnchanged, type Embedding } from '@app/models';
import { keepUnmasked } from '@app/pictures';
import { Canvas } from './canvas';
import type { DeviceMemory } from './device.memory';
import { nameEmbeddings } from './embedding.words';
import { EngineFailure } from './engine.errors';
import type { EnginePicture } from './engine.protocol';
import type { EngineProcess } from './engine.process';
import type { GeneratedPicture, GenerateListeners, GenerateRequest } from './pipeline.types';
import { chunkWarnings, readPrompts } from './prompt.syntax';
import { withTrigger } from './trigger.word';

/** What a lease needs of the pipeline that gives it. */
export interface Lender {
  readonly config: Config;
  /** Of the engine's device. */
  readonly memory: DeviceMemory;
  /** Aborted, with `draining` as its reason, when the service stops. */
  readonly stopping: AbortSignal;
  /** That the engine was loaded with. */
  readonly embeddings: readonly Embedding[];
  /** See EngineSupervisor. */
  drew(size: Size, inTiles: boolean): void;
  hasMerged(loras: GenerateRequest['loras']): boolean;
  free(): void;
}

/** Of one picture. */
export interface LeaseTerms {
  /** It is decoded in tiles, whatever is planned: memory ran out when it was decoded at once. */
  readonly inTiles?: boolean;
  /** Once it is drawn the engine stays reserved, for another of the same lease. */
  readonly hold?: boolean;
}

/** Bytes a millisecond: a disk that gives less is as good as none. */
const SLOWEST_DISK = 10_000;

/**
 * The prompt alone, in half of the time. Up to 1 nothing is guided, as in diffusers; the engine would take what is less for a
 * share of the prompt in the picture, and 0 for a picture without it.
 */
const NO_GUIDANCE = 1;

const IN_TILES =
  'The device had too little memory to decode the picture at once: it was decoded in tiles, and may differ slightly from others of its seed.';

/**
 * An engine process that is reserved for one picture, or several of one job, in the words of the service: errors for callers, LoRAs by name.
 * Must be given back, by generate() or release().
 */
export class EngineLease {
  private asked = false;
  private released = false;

  constructor(
    /** The engine's number. */
    readonly id: number,
    private readonly engine: EngineProcess,
    private readonly lender: Lender,
  ) {}

  /**
   * Draws one picture, then frees the engine, also on failure: while its caller still encodes, the next picture is
   * drawn. Rejects with EngineCrashed, OutOfMemory (also where the engine died of it), or ServiceError: `draining`,
   * `cancelled`, `lora_not_applied`, `upscaler_not_applied`, `generation_failed`.
   */
  async generate(
    request: GenerateRequest,
    listeners: GenerateListeners = {},
    { inTiles = false, hold = false }: LeaseTerms = {},
  ): Promise<GeneratedPicture> {
    if (this.asked || this.released) throw new Error('A lease is for one picture: acquire another');
    this.asked = true;
    const { memory, stopping } = this.lender;
    const lacksMemory = memory.watch();
    const size = drawnSize(request);
    const vaeTiling = inTiles || memory.decodesInTiles(size);
    const mergedAnew = !this.lender.hasMerged(request.loras);
    let decoding = false;
    try {
      const read = readPrompts(request.prompt, request.negativePrompt);
      const prompts = nameEmbeddings(read.texts, this.lender.embeddings);
      for (const embedding of prompts.named) await assertUnchanged(embedding);
      const [text, negativePrompt] = prompts.texts;
      const prompt = request.identity ? withTrigger(text) : text;
      const guidanceScale = Math.max(NO_GUIDANCE, request.guidanceScale);
      const reads = await this.reads(request, mergedAnew);
      const canvas = new Canvas(request);
      const whole = await this.engine.generate(
        {
          ...{ ...(await canvas.toRequest()), prompt, negativePrompt, guidanceScale, vaeTiling },
          loras: request.loras.map(({ path, scale }) => ({ path, scale })),
        },
        {
          signal: listeners.signal,
          reads,
          onProgress: (progress) => {
            // An engine that dies may take the word that it decodes with it: nothing else comes after the last step.
            decoding = progress.phase === 'decoding' || progress.step === progress.steps;
            listeners.onProgress?.(progress);
          },
          onPreview: (preview) => listeners.onPreview?.(canvas.preview(preview)),
          previewsWanted: async () => (await listeners.previewsWanted?.()) ?? false,
          onDrawn: () => hold || this.release(),
        },
      );
      this.lender.drew(size, whole.decodedInTiles);
      const picture = await canvas.cut(whole);
      if (request.image && request.mask) keepUnmasked(picture.pixels, request.image.pixels, request.mask);
      const drawn = this.toPicture(picture, request);
      const warnings = [...read.warnings, ...prompts.warnings, ...drawn.warnings];
      this.asked = !hold;
      return { ...drawn, warnings, mergedAnew };
    } catch (error) {
      if (stopping.aborted) throw stopping.reason;
      if (!lacksMemory(error)) throw error instanceof EngineFailure ? explain(error, request) : error;
      throw memory.exceeded(size, error, decoding && !vaeTiling);
    } finally {
      if (this.asked) this.release();
    }
  }

  /** Milliseconds that the engine may take for the files it reads first: or, to merge other LoRAs, for the model itself. */
  private async reads({ loras, control }: GenerateRequest, mergedAnew: boolean): Promise<number> {
    if (mergedAnew) return this.lender.config.PHASE_TIMEOUT * 1_000;
    const sizes = [...loras.map(({ path }) => path), ...(control ? [control.model] : [])].map((path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    );
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) / SLOWEST_DISK;
  }

  /** Frees the engine without drawing. Idempotent, also after generate. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.lender.free();
  }

  private toPicture(picture: EnginePicture, request: GenerateRequest): Omit<GeneratedPicture, 'mergedAnew'> {
    const { pixels, width, height, timings, idle } = picture;
    const warnings = [...chunkWarnings(picture.textChunks), ...this.checkLoras(request, picture)];
    // Not where VAE_TILING or the plan of the memory asked for it: then every such picture is.
    const unplanned = picture.decodedInTiles && !this.lender.memory.plansTiles(drawnSize(request));
    return { pixels, width, height, timings, idle, warnings: unplanned ? [...warnings, IN_TILES] : warnings };
  }

  /** A LoRA of which nothing fits is refused by the addon; one that fits in part brings a warning. */
  private checkLoras(request: GenerateRequest, picture: EnginePicture): string[] {
    return request.loras.flatMap((lora) => {
      const applied = picture.loras.find((entry) => entry.path === lora.path);
      const total = Math.max(lora.tensors, applied?.total ?? 0);
      if (applied && applied.applied >= total) return [];
      const sentence = `LoRA "${lora.name}" fits the model only in part: ${applied?.applied ?? 0} of ${total} tensors were applied.`;
      if (this.lender.config.LORA_STRICT) throw new ServiceError('lora_not_applied', sentence, 'loras');
      return [sentence];
    });
  }
}

/** The engine would read the word as words where the file is gone, and otherwise draw with what it held when first used. */
async function assertUnchanged(embedding: Embedding): Promise<void> {
  if (await isUnchanged(embedding)) return;
  const sentence = `The file of the embedding "${embedding.name}" changed or went away since the engine started; it draws with it again once it is started anew.`;
  throw new ServiceError('storage_unavailable', sentence, 'prompt');
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
    case 'upscaler_not_applied':
      return error('upscaler_not_applied', 'The engine cannot use the upscaler.', 'upscale');
    case 'flat_picture':
      return error('generation_failed', `${cause.message}${perhapsOf(loras)}.`);
    case 'control_net_not_applied':
      return error('generation_failed', 'The engine did not use the ControlNet.', 'control');
    case 'ip_adapter_not_applied':
      return error('generation_failed', 'The engine did not use the reference picture.');
    case 'photo_maker_not_applied':
      return error('generation_failed', 'The engine did not use the picture of the person.');
    case 'generation_failed':
      return error('generation_failed', 'The engine gave up on this picture.');
    default:
      return cause;
  }
}

/** Weights may be numbers all, and the sums beyond what the device computes with. */
const perhapsOf = (loras: GenerateRequest['loras']) =>
  loras.length === 0 ? '' : `. That may come of a LoRA: ${loras.map(({ name }) => `"${name}"`).join(', ')}`;
