import { readFileSync } from 'node:fs';
import { SIZE_STEP, type Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { EngineCrashed, EngineFailure } from './engine.errors';
import type { MemoryPlan } from './engine.messages';

/** Of the container's cgroup (v2). Elsewhere it is not there, and the kernel's kill looks like any other. */
const MEMORY_EVENTS = '/sys/fs/cgroup/memory.events';

/** What is known about the memory of one engine's device, over all of its processes. */
export class DeviceMemory {
  /** Of the engine that is loaded; undefined: what fits is seen when it is drawn. */
  plan?: MemoryPlan;
  private largest: Size = { width: 0, height: 0 };

  constructor(private readonly events = MEMORY_EVENTS) {}

  /** Whether a picture is only decoded in tiles. */
  needsTiles(size: Size): boolean {
    return this.plan !== undefined && pixels(size) > this.plan.whole;
  }

  /** Throws ServiceError `out_of_memory` with a size that fits where this one does not: before it is drawn. */
  admit(size: Size): void {
    if (this.plan && pixels(size) > this.plan.inTiles) throw this.exceeded(size);
  }

  /** Before a picture is drawn; what this returns tells whether an error of that picture was want of memory. */
  watch(): (error: unknown) => error is EngineFailure | EngineCrashed {
    const before = this.kills();
    return (error): error is EngineFailure | EngineCrashed => {
      if (error instanceof EngineFailure) return error.code === 'out_of_memory';
      if (!(error instanceof EngineCrashed) || !error.begun) return false;
      return error.outOfMemory || (error.how.includes('SIGKILL') && this.kills() > before);
    };
  }

  drew({ width, height }: Size): void {
    if (width * height > pixels(this.largest)) this.largest = { width, height };
  }

  /** What the caller of a picture that lacked memory is told: a size that fits, or is likely to. */
  exceeded(size: Size, cause?: Error): ServiceError {
    const sentence = `The picture needs more memory than the device has${this.advice(size)}.`;
    return new ServiceError('out_of_memory', sentence, 'size', { cause });
  }

  private advice(size: Size): string {
    const { largest, plan } = this;
    if (plan && pixels(size) > plan.inTiles) return `; a picture of ${text(shrunk(size, plan.inTiles))} fits`;
    if (pixels(largest) > 0 && pixels(largest) < pixels(size)) return `; a picture of ${text(largest)} fits`;
    const half = shrunk(size, pixels(size) / 2);
    return pixels(half) < pixels(size) ? `; try ${text(half)}` : ', and there is no smaller one';
  }

  /** Processes that the kernel killed in this container for want of memory. */
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
const onGrid = (side: number) => Math.max(SIZE_STEP, Math.floor(side / SIZE_STEP) * SIZE_STEP);

/** At most `most` pixels, in about the same shape; what one side cannot give, because it is the least, the other does. */
function shrunk(size: Size, most: number): Size {
  const ratio = Math.sqrt(most / pixels(size));
  const [width, height] = [onGrid(size.width * ratio), onGrid(size.height * ratio)];
  return { width: Math.min(width, onGrid(most / height)), height: Math.min(height, onGrid(most / width)) };
}
