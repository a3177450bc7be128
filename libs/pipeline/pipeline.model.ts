import type { Config } from '@app/config';
import type {
  ControlNet,
  Embedding,
  ModelChoice,
  ModelFiles,
  ModelsService,
  OnProgress,
  TerminalProgress,
} from '@app/models';
import { ModelFinder } from './model.finder';

/** Milliseconds for which a model that could not be had is left alone. */
const LATER = 60_000;

/** A model that this process may draw with, as far as it knows it. */
export class PipelineModel {
  private readonly finder: ModelFinder;
  /** Why it could not be had the last time. */
  private failure?: { readonly reason: string; readonly at: number };

  constructor(
    readonly choice: ModelChoice,
    /** Whether it is known by that name whatever its files are called. */
    private readonly isNamed: boolean,
    models: ModelsService,
    terminal?: TerminalProgress,
  ) {
    this.finder = new ModelFinder(models, terminal, choice.config);
  }

  get name(): string {
    return this.isNamed ? this.choice.name : (this.files?.name ?? this.choice.name);
  }

  get config(): Config {
    return this.choice.config;
  }

  /** Once known. */
  get files(): ModelFiles | undefined {
    return this.finder.files;
  }

  /** See ModelFinder. */
  find(onProgress: OnProgress, doubted?: ModelFiles): Promise<ModelFiles> {
    return this.finder.find(onProgress, doubted);
  }

  /** It did not load. */
  failed(reason: string): void {
    this.failure = { reason, at: performance.now() };
  }

  /** Why it cannot be drawn with; undefined: it can, or that is not known yet. */
  get problem(): string | undefined {
    return this.failure && performance.now() - this.failure.at < LATER ? this.failure.reason : undefined;
  }

  /** Its files are here. */
  get isHere(): boolean {
    return this.files !== undefined && this.problem === undefined;
  }

  /** Whether reference pictures can be used; before the model is known, whether they are wanted. */
  get hasIpAdapter(): boolean {
    const { files } = this;
    return this.config.ENABLE_IP_ADAPTER && (files === undefined || files.ipAdapter !== undefined);
  }

  /** The same of PhotoMaker. */
  get hasPhotoMaker(): boolean {
    return (this.files ?? { photoMaker: this.config.PHOTO_MAKER_PATH }).photoMaker !== undefined;
  }

  /** Where its LoRAs are stored, once known. */
  get loraDir(): string | undefined {
    return this.files?.loraDir;
  }

  /** The same of its upscalers. */
  get upscalerDir(): string | undefined {
    return this.files?.upscalerDir;
  }

  /** Words for prompts, once known. */
  get embeddings(): readonly Embedding[] {
    return this.files?.embeddings ?? [];
  }

  /** That fit it, once known. */
  get controlNets(): readonly ControlNet[] {
    return this.files?.controlNets ?? [];
  }
}
