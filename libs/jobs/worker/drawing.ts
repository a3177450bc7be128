import { Logger } from '@nestjs/common';
import { encodePreview } from '@app/pictures';
import {
  EngineCrashed,
  OutOfMemory,
  type EngineLease,
  type GeneratedPicture,
  type GenerateListeners,
  type GenerateRequest,
  type PipelineService,
} from '@app/pipeline';
import type { JobEvents } from '../job.events';

interface Tools {
  readonly events: JobEvents;
  readonly pipeline: PipelineService;
}

/** The picture of one run: drawn again, by other engines or in tiles, where that may help. Publishes its progress. */
export class Drawing {
  private readonly logger = new Logger('Jobs');
  /** Engines that died under it. */
  private readonly died = new Set<number>();
  /** Engines that had no memory for it, also in tiles. */
  private readonly full = new Set<number>();
  private inTiles = false;

  constructor(
    private readonly jobId: string,
    private readonly request: GenerateRequest,
    private readonly tools: Tools,
    private readonly signal: AbortSignal,
  ) {}

  /** As PipelineService.acquire: an engine that did not fail it yet, if there is one. */
  acquire(): Promise<EngineLease> {
    const { pipeline } = this.tools;
    return pipeline.acquire({
      size: this.request,
      loras: this.request.loras,
      avoid: new Set([...this.died, ...this.full]),
      signal: this.signal,
    });
  }

  /**
   * Draws with `engine`, and where that ran out of memory once more: in tiles with whichever engine comes next, for this
   * one may be dead; or whole with one that should have the memory. Rejects as EngineLease.generate does.
   */
  async draw(engine: EngineLease): Promise<GeneratedPicture> {
    for (;;) {
      try {
        return await engine.generate(this.request, this.listeners, this.inTiles);
      } catch (error) {
        if (error instanceof EngineCrashed) this.died.add(engine.id);
        if (!(error instanceof OutOfMemory) || !this.mayFit(error, engine.id)) throw error;
        engine = await this.acquire();
        if (!this.full.has(engine.id)) continue;
        engine.release();
        throw error;
      }
    }
  }

  /** Notes where the memory ran out. */
  private mayFit({ tilesMayFit }: OutOfMemory, engine: number): boolean {
    const size = `${this.request.width}x${this.request.height}`;
    if (tilesMayFit) {
      this.inTiles = true;
      this.logger.warn(
        `No memory to decode ${size} at once: drawn again, in tiles, as its like are from the first from now on`,
      );
      return true;
    }
    this.full.add(engine);
    if (!this.tools.pipeline.drawsElsewhere(this.request, this.full)) return false;
    this.logger.warn(`Engine ${engine} had no memory for ${size}: drawn again, by another`);
    return true;
  }

  private get listeners(): GenerateListeners {
    const { jobId: id, signal, logger } = this;
    const { events } = this.tools;
    return {
      signal,
      onProgress: (progress) => void events.publish(id, { type: 'progress', progress }),
      previewsWanted: () => events.previewsWanted(id),
      onPreview: ({ pixels, width, height, step }) =>
        void encodePreview(pixels, width, height)
          .then((jpeg) => events.publish(id, { type: 'preview', preview: { step, jpeg, width, height } }))
          .catch((error: unknown) => logger.warn({ err: error, job: id }, 'A preview was lost')),
    };
  }
}
