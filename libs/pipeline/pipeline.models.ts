import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Config } from '@app/config';
import { TerminalProgress, type ModelCatalog, type ModelChoice, type ModelFiles } from '@app/models';
import type { ModelsService, OnProgress } from '@app/models';
import { PipelineModel } from './pipeline.model';

/** Milliseconds between two looks for models whose files are not here. */
const LOOK_AGAIN = 2_000;

/** The models that this process may draw with, and the one that its engines have. */
export class PipelineModels {
  private readonly logger = new Logger('Models');
  private known: readonly PipelineModel[];
  private current: PipelineModel;

  constructor(
    private readonly catalog: ModelCatalog,
    private readonly models: ModelsService,
    private readonly terminal: TerminalProgress,
    /** Called when there are others, or more of them. */
    private readonly changed: () => void,
  ) {
    this.known = catalog.all.map((choice) => this.add(choice));
    this.current = this.known[0];
    catalog.onChange(() => {
      this.known = catalog.all.map(
        (choice) => this.known.find((m) => m.choice === choice) ?? this.add(choice),
      );
      this.changed();
    });
  }

  get several(): boolean {
    return this.catalog.several;
  }

  get all(): readonly PipelineModel[] {
    return this.known;
  }

  /** That the engines have, or load; it may have been taken away since. */
  get loaded(): PipelineModel {
    return this.current;
  }

  /** Whether it can still be asked for. */
  get isOffered(): boolean {
    return this.known.includes(this.current);
  }

  /** By its name; without one, that which is drawn with where a request names none. */
  get(name?: string): PipelineModel | undefined {
    return name === undefined ? this.known[0] : this.known.find((model) => model.name === name);
  }

  choose(model: PipelineModel): void {
    this.current = model;
  }

  /** For the engines. */
  find(onProgress: OnProgress, doubted?: ModelFiles): Promise<ModelFiles> {
    return this.current.find(onProgress, doubted);
  }

  get name(): string {
    return this.current.name;
  }

  get config(): Config {
    return this.current.config;
  }

  /** Fetches what the others need, one after the other, so that a change of the model waits for no download. */
  async fetchAll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = this.known.find(({ files, problem }) => files === undefined && problem === undefined);
      if (next) await this.fetch(next);
      await sleep(LOOK_AGAIN, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  private async fetch(model: PipelineModel): Promise<void> {
    try {
      await model.find(() => undefined);
      this.changed();
    } catch (error) {
      const { message } = error as Error;
      model.failed(message);
      this.logger.error(`The model ${model.name} cannot be used: ${message}`);
    }
  }

  private add(choice: ModelChoice): PipelineModel {
    // One bar is enough.
    const terminal = choice === this.catalog.usual ? this.terminal : new TerminalProgress(false);
    return new PipelineModel(choice, this.several, this.models, terminal);
  }
}
