import { readFileSync } from 'node:fs';
import type { Config, Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { MOST_DECODED_AT_ONCE } from '@app/models/family';
import { shrunk } from '@app/pictures';
import { EngineCrashed, EngineFailure } from './engine.errors';
import type { MemoryPlan } from './engine.protocol';

/** Of the container's cgroup (v2). Elsewhere it is not there, and the kernel's kill looks like any other. */
const MEMORY_EVENTS = '/sys/fs/cgroup/memory.events';

/** A picture that needs more memory than a device has. */
export class OutOfMemory extends ServiceError {
  constructor(
    sentence: string,
    /** It only ran out when the picture was decoded at once. */
    readonly tilesMayFit: boolean,
    cause?: Error,
  ) {
    super('out_of_memory', sentence, 'size', { cause });
  }
}

/** What is known about the memory of one engine's device, over all of its processes. */
export class DeviceMemory {
  private current?: MemoryPlan;
  private largest: Size = { width: 0, height: 0 };
  /** Pixels of the smallest picture that could not be decoded at once. */
  private tooLarge = Infinity;
  /** The engine died of it. */
  private killed = false;

  constructor(
    private readonly tiling: Config['VAE_TILING'] = 'retry',
    private readonly events = MEMORY_EVENTS,
  ) {}

  /** Of the engine that is loaded; undefined: what fits is seen when it is drawn. */
  get plan(): MemoryPlan | undefined {
    return this.current;
  }

  /** A new process, which may have more memory: it tries again what ran out, unless the one before died of that. */
  loaded(plan?: MemoryPlan): void {
    this.current = plan;
    if (!this.killed) this.tooLarge = Infinity;
    this.killed = false;
  }

  /** Pixels of the largest picture that fits; Infinity: that is seen when it is drawn. */
  get most(): number {
    if (!this.plan) return Infinity;
    return this.tiling === 'never' ? this.plan.whole : this.plan.inTiles;
  }

  fits(size: Size): boolean {
    return pixels(size) <= this.most;
  }

  /** Whether a picture is decoded in tiles from the first. */
  decodesInTiles(size: Size): boolean {
    return this.plansTiles(size) || (this.tiling === 'retry' && pixels(size) >= this.tooLarge);
  }

  /** Whether that is what was asked for or planned, and nothing to warn of. */
  plansTiles(size: Size): boolean {
    if (this.tiling === 'always' || pixels(size) > MOST_DECODED_AT_ONCE) return true;
    return this.tiling === 'retry' && this.plan !== undefined && pixels(size) > this.plan.whole;
  }

  /** Before a picture is drawn; what this returns decides whether an error of that picture was that memory ran out. */
  watch(): (error: unknown) => error is EngineFailure | EngineCrashed {
    const before = this.kills();
    return (error): error is EngineFailure | EngineCrashed => {
      if (error instanceof EngineFailure) return error.code === 'out_of_memory';
      if (!(error instanceof EngineCrashed) || !error.begun) return false;
      return error.outOfMemory || (error.how.includes('SIGKILL') && this.kills() > before);
    };
  }

  drew({ width, height }: Size, inTiles: boolean): void {
    if (width * height > pixels(this.largest)) this.largest = { width, height };
    if (!inTiles && width * height >= this.tooLarge) this.tooLarge = Infinity;
  }

  /** The error of a picture that ran out of memory; advises a size that fits, or is likely to. */
  exceeded(size: Size, cause?: Error, decoding = false): OutOfMemory {
    const tilesMayFit = decoding && this.tiling !== 'never';
    if (tilesMayFit) {
      this.tooLarge = Math.min(this.tooLarge, pixels(size));
      this.killed = cause instanceof EngineCrashed;
    }
    return new OutOfMemory(
      `The picture needs more memory than the device has${this.advice(size)}.`,
      tilesMayFit,
      cause,
    );
  }

  private advice(size: Size): string {
    const { largest } = this;
    if (!this.fits(size)) return `; a picture of ${text(shrunk(size, this.most))} fits`;
    if (pixels(largest) > 0 && pixels(largest) < pixels(size)) return `; a picture of ${text(largest)} fits`;
    const half = shrunk(size, pixels(size) / 2);
    return pixels(half) < pixels(size) ? `; try ${text(half)}` : ', and there is no smaller one';
  }

  /** Processes that the kernel killed in this container because memory ran out. */
  private kills(): number {
    try {
      return Number(/^oom_kill (\d+)$/m.exec(readFileSync(this.events, 'utf8'))?.[1] ?? 0);
    } catch {
      return 0;
    }
  }
}

const pixels = ({ width, height }: Size) => width * height;
const text = ({ width, height }: Size) => `${width}x${height}`;
