import { Logger } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { drawnSize } from '@app/models/family';
import { encodePreview } from '@app/pictures';
import {
  EngineCrashed,
  OutOfMemory,
  type EngineLease,
  type GeneratedPicture,
  type GenerateListeners,
  type GenerateRequest,
  type PipelineService,
  type Progress,
} from '@app/pipeline';
import type { JobEvents } from '../job.events';
import type { JobNews } from '../job.news';
import type { Jobs } from '../jobs.service';
import type { FaceDetail } from './face.detail';

type Redrawn = JobNews['redrawn'][0];

interface Tools {
  readonly jobs: Pick<Jobs, 'news'>;
  readonly events: JobEvents;
  readonly pipeline: PipelineService;
}

/** What may be the device's. */
const isFault = (error: unknown): error is ServiceError =>
  error instanceof OutOfMemory || (error instanceof ServiceError && error.code === 'generation_failed');

/** The picture of one run: drawn again, by other engines or in tiles, where that may help. Publishes its progress. */
export class Drawing {
  private readonly logger = new Logger('Jobs');
  /** Engines that died under it. */
  private readonly died = new Set<number>();
  /** Engines that had no memory for it, also in tiles, or failed it otherwise. */
  private readonly failed = new Map<number, ServiceError>();
  private readonly acquittals: (() => void)[] = [];
  private inTiles = false;
  private tries = 1;
  /** The try that is drawn: 0 is the first. */
  private index = 0;
  /** Sampling steps of each try: of its pictures, then of their faces. */
  private own = 0;
  private faces = 0;
  /** Of this try before what is drawn, and of that. */
  private before = 0;
  private steps = 0;

  constructor(
    private readonly jobId: string,
    private readonly request: GenerateRequest,
    private readonly tools: Tools,
    private readonly signal: AbortSignal,
  ) {}

  /** As PipelineService.acquire: an engine that did not fail it yet, if there is one. */
  acquire(otherwise?: ServiceError): Promise<EngineLease> {
    const { pipeline } = this.tools;
    return pipeline.acquire({
      size: drawnSize(this.request),
      loras: this.request.loras,
      avoid: new Set([...this.died, ...this.failed.keys()]),
      otherwise,
      signal: this.signal,
    });
  }

  /**
   * So many tries, of seeds that follow each other, each when it is asked for: with one engine, which is free when the last is
   * drawn, or no other wanted. With `detail` their faces are painted again.
   */
  async *draw(engine: EngineLease, tries = 1, detail?: FaceDetail): AsyncGenerator<GeneratedPicture> {
    this.tries = tries;
    this.faces = detail?.steps ?? 0;
    let lease = engine;
    const paint = async (request: GenerateRequest, hold: boolean) => {
      const { picture, by } = await this.drawOne(lease, request, hold);
      lease = by;
      this.before += this.steps;
      return picture;
    };
    try {
      for (this.index = 0; this.index < tries; this.index++) {
        const isLast = this.index === tries - 1;
        const seed = this.request.seed + this.index;
        this.before = 0;
        const drawn = await paint({ ...this.request, seed }, !isLast || detail !== undefined);
        const picture = detail ? await detail.refine(drawn, seed, (face) => paint(face, true)) : drawn;
        if (isLast) lease.release();
        yield picture;
      }
    } finally {
      lease.release();
    }
  }

  /**
   * Draws with `engine`, and where that failed perhaps once more: in tiles with whichever engine comes next, for this one
   * may be dead; or with another, for the fault may be the device's. Rejects as EngineLease.generate does, with the first
   * error where several failed.
   */
  private async drawOne(
    engine: EngineLease,
    request: GenerateRequest,
    hold: boolean,
  ): Promise<{ picture: GeneratedPicture; by: EngineLease }> {
    for (;;) {
      try {
        const terms = { inTiles: this.inTiles, hold };
        return { picture: await engine.generate(request, this.listeners, terms), by: engine };
      } catch (error) {
        if (error instanceof EngineCrashed) this.died.add(engine.id);
        if (!isFault(error)) throw error;
        const help = this.mayHelp(error, engine.id);
        if (!help) throw this.giveUp(error);
        engine = await this.acquire(this.first(error));
        if (!this.failed.has(engine.id)) {
          this.tools.jobs.news.emit('redrawn', help);
          continue;
        }
        engine.release();
        throw this.giveUp(error);
      }
    }
  }

  /** How to draw again, if at all; notes where it failed. */
  private mayHelp(error: ServiceError, engine: number): Redrawn | undefined {
    const { width, height } = drawnSize(this.request);
    const size = `${width}x${height}`;
    const lacksMemory = error instanceof OutOfMemory;
    if (lacksMemory && error.tilesMayFit) {
      this.inTiles = true;
      this.logger.warn(
        `No memory to decode ${size} at once: drawn again, in tiles, and others as large in tiles from the first`,
      );
      return 'in_tiles';
    }
    this.failed.set(engine, error);
    // One other is enough to tell a device's fault from the picture's, but for one that is planned to have the memory.
    const enough = this.failed.size > 1;
    const failed = new Set(this.failed.keys());
    if (enough && !lacksMemory) return undefined;
    const { pipeline } = this.tools;
    if (!pipeline.drawsElsewhere({ width, height }, failed, enough)) return undefined;
    // At once: it is free again, and would fail one job after the other while the other engine draws.
    this.acquittals.push(pipeline.eject(engine, this.request, error));
    const what = lacksMemory ? `had no memory for ${size}` : 'failed a picture';
    this.logger.warn(`Engine ${engine} ${what}: drawn again, by another`);
    return 'elsewhere';
  }

  /** Where another failed it, too, the picture was at fault. */
  private giveUp(error: ServiceError): ServiceError {
    for (const acquit of this.acquittals.splice(0)) acquit();
    return this.first(error);
  }

  private first(error: ServiceError): ServiceError {
    return [...this.failed.values()].at(0) ?? error;
  }

  /** What lies between the samplings of two tries, or before that of a face, is told as sampling. */
  private ofAll({ phase, step, steps }: Progress): Progress {
    this.steps = steps;
    if (this.before === 0) this.own = steps;
    const { index, tries, own, faces, before } = this;
    const mayGoOn = index < tries - 1 || faces > 0;
    const between = phase === 'decoding' ? mayGoOn : index > 0 || before > 0;
    return {
      phase: between ? 'sampling' : phase,
      ...{ step: index * (own + faces) + before + step, steps: tries * (own + faces) },
    };
  }

  private get listeners(): GenerateListeners {
    const { jobId: id, signal, logger } = this;
    const { events, jobs } = this.tools;
    return {
      signal,
      onProgress: (progress) => {
        jobs.news.emit('phase', id, progress.phase);
        void events.publish(id, { type: 'progress', progress: this.ofAll(progress) });
      },
      // Those of a face would not be of the picture.
      previewsWanted: () => (this.before > 0 ? Promise.resolve(false) : events.previewsWanted(id)),
      onPreview: ({ pixels, width, height, step }) =>
        void encodePreview({ pixels, width, height }, { composite: this.request.image !== undefined })
          .then((jpeg) => events.publish(id, { type: 'preview', preview: { step, jpeg, width, height } }))
          .catch((error: unknown) => logger.warn({ err: error, job: id }, 'A preview was lost')),
    };
  }
}
