import { TerminalProgress, type ModelFiles, type ModelsService, type OnProgress } from '@app/models';

/** Finds the model once for all engines, however many ask at a time. */
export class ModelFinder {
  private found?: ModelFiles;
  private doubted = false;
  private search?: Promise<ModelFiles>;
  private readonly listeners = new Set<OnProgress>();

  constructor(
    private readonly models: ModelsService,
    private readonly terminal = new TerminalProgress(),
  ) {}

  /** Once known. */
  get files(): ModelFiles | undefined {
    return this.found;
  }

  /** Rejects with the reason when there is no model; the next call looks again. */
  async find(onProgress: OnProgress): Promise<ModelFiles> {
    if (this.found && !this.doubted) return this.found;
    this.listeners.add(onProgress);
    try {
      return await (this.search ??= this.resolve());
    } finally {
      this.listeners.delete(onProgress);
    }
  }

  /**
   * These files did not load: perhaps one is damaged or gone, so the next call looks again. Until then they stay known:
   * engines that have them loaded draw with them.
   */
  doubt(files: ModelFiles): void {
    if (this.found === files) this.doubted = true;
  }

  private async resolve(): Promise<ModelFiles> {
    try {
      this.found = await this.models.resolve((progress) => {
        this.terminal.report(progress);
        for (const listener of this.listeners) listener(progress);
      });
      this.doubted = false;
      return this.found;
    } finally {
      this.terminal.stop();
      this.search = undefined;
    }
  }
}
