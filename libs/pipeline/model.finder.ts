import type { Config } from '@app/config';
import { TerminalProgress, type ModelFiles, type ModelsService, type OnProgress } from '@app/models';

/** Finds the model once for all engines, however many ask at a time. */
export class ModelFinder {
  private found?: ModelFiles;
  private search?: Promise<ModelFiles>;
  private readonly listeners = new Set<OnProgress>();

  constructor(
    private readonly models: ModelsService,
    private readonly terminal = new TerminalProgress(),
    /** Of the model, where it is one of several. */
    private readonly config?: Config,
  ) {}

  /** Once known. */
  get files(): ModelFiles | undefined {
    return this.found;
  }

  /**
   * Rejects with the reason when there is no model; the next call looks again.
   * @param doubted files that did not load: perhaps one is damaged or gone, so it looks again. Others, who may draw with
   * them, are given them meanwhile.
   */
  async find(onProgress: OnProgress, doubted?: ModelFiles): Promise<ModelFiles> {
    if (this.found && this.found !== doubted) return this.found;
    this.listeners.add(onProgress);
    try {
      return await (this.search ??= this.resolve());
    } finally {
      this.listeners.delete(onProgress);
    }
  }

  private async resolve(): Promise<ModelFiles> {
    try {
      this.found = await this.models.resolve((progress) => {
        this.terminal.report(progress);
        for (const listener of this.listeners) listener(progress);
      }, this.config);
      return this.found;
    } finally {
      this.terminal.stop();
      this.search = undefined;
    }
  }
}
