/** A refusal by the engine: `code` is the addon's (native/index.d.ts). */
export class EngineFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The engine process died before its answer. What that means is for whoever asked to decide: a picture that kills its
 * engine should not be drawn a third time, one whose engine died before it began can be.
 */
export class EngineCrashed extends Error {
  constructor(
    /** The signal or the exit code. */
    readonly how: string,
    /** false: the engine was dead before it was asked for the picture. true: it died under it, or may have. */
    readonly begun: boolean,
    /** What the process last logged or wrote to its standard error, oldest first; at most 20. For the log only. */
    readonly lines: readonly string[],
    /** It said so since it was asked for the picture; perhaps long before `lines`, behind a trace of the stack. */
    readonly outOfMemory = false,
  ) {
    super(`The engine process died (${how})`);
    this.name = 'EngineCrashed';
  }
}
