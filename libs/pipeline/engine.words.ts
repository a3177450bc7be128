const LAST_LINES = 20;

/** The addon's words (native/index.d.ts), and the C++ library's, Vulkan's and V8's: their last before the process ends. */
const OUT_OF_MEMORY = /out of memory|bad_alloc|OutOf(Device|Host)Memory/i;

/** What the addon writes before the engine aborts the process over it. */
const CAUSE = /(out of memory|(CUDA|ROCm|MUSA) error): .+/;

/** The last that an engine process said, and what it means. */
export class EngineWords {
  readonly lines: string[] = [];
  /** Some error since this was last set to false says so. */
  outOfMemory = false;

  hear(line: string, level: 'warn' | 'error'): void {
    if (this.lines.push(line) > LAST_LINES) this.lines.shift();
    // Pinned memory that is not to be had, or a second attempt in tiles, is a warning: the engine goes on.
    this.outOfMemory ||= level === 'error' && OUT_OF_MEMORY.test(line);
  }

  /** What the card had, where it said so. */
  get cause(): string | undefined {
    return this.lines.map((line) => CAUSE.exec(line)?.[0]).findLast((words) => words);
  }
}
