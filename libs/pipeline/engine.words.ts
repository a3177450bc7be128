const LAST_LINES = 20;

/** The addon's words (native/index.d.ts), the C++ library's and V8's: what they say before they abort the process. */
const OUT_OF_MEMORY = /out of memory|bad_alloc/i;

/** What the addon writes before the engine aborts the process over it. */
const CAUSE = /(out of memory|CUDA error): .+/;

/** The last that an engine process said, and what it means. */
export class EngineWords {
  readonly lines: string[] = [];
  /** Some line since this was last set to false says so. */
  outOfMemory = false;

  hear(line: string): void {
    if (this.lines.push(line) > LAST_LINES) this.lines.shift();
    this.outOfMemory ||= OUT_OF_MEMORY.test(line);
  }

  /** What the card had, where it said so. */
  get cause(): string | undefined {
    return this.lines.map((line) => CAUSE.exec(line)?.[0]).findLast((words) => words);
  }
}
