import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Config, ConfigError } from '@app/config';
import { wantedModel } from './model.name';
import { readModels, type ModelChoice } from './models.file';

/** Milliseconds between two looks at MODELS_FILE. */
const LOOK_AGAIN = 2_000;

/** The models that requests can name now: those of MODELS_FILE, which is read again when it changes, or the one of the environment. */
@Injectable()
export class ModelCatalog implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Models');
  private readonly changes = new EventEmitter<{ change: [] }>();
  private choices: readonly ModelChoice[];
  /** The file's content that was read last, in order or not. */
  private bytes = Buffer.alloc(0);
  private problem?: string;
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;

  /** Throws ConfigError when the file is broken. */
  constructor(private readonly config: Config) {
    const { MODELS_FILE: file, MODEL_ALIASES: aliases } = config;
    if (file === undefined) {
      this.choices = [{ name: wantedModel(config), aliases, config }];
      return;
    }
    try {
      this.bytes = readFileSync(file);
    } catch (error) {
      unreadable(error);
    }
    this.choices = readModels(config, this.bytes);
  }

  /** The content is compared, not the file's dates: Kubernetes swaps a link above the file. */
  onApplicationBootstrap(): void {
    if (this.several) this.timer = setInterval(() => void this.reload(), LOOK_AGAIN).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Whether MODELS_FILE names the models, be it one. */
  get several(): boolean {
    return this.config.MODELS_FILE !== undefined;
  }

  /** The first is drawn with where a request names none. One that did not change is the same object as before. */
  get all(): readonly ModelChoice[] {
    return this.choices;
  }

  get usual(): ModelChoice {
    return this.choices[0];
  }

  /** By its name or another one of it. */
  find(name: string): ModelChoice | undefined {
    return this.choices.find((choice) => choice.name === name || choice.aliases.includes(name));
  }

  onChange(listener: () => void): void {
    this.changes.on('change', listener);
  }

  /** Reads the file again. When it is missing or broken the models stay as they are. Never rejects. */
  reload(): Promise<void> {
    this.looking ??= this.look().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async look(): Promise<void> {
    try {
      const bytes = await readFile(this.config.MODELS_FILE!).catch(unreadable);
      if (bytes.equals(this.bytes) && this.problem === undefined) return;
      const models = readModels(this.config, bytes);
      this.problem = undefined;
      if (bytes.equals(this.bytes)) return;
      this.bytes = bytes;
      this.choices = models.map((model) => this.choices.find((old) => isSame(old, model)) ?? model);
      this.logger.log(`MODELS_FILE was read again: ${this.choices.map(({ name }) => name).join(', ')}`);
      this.changes.emit('change');
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.problem) this.logger.warn(`${message}\nThe models stay as they were`);
      this.problem = message;
    }
  }
}

const isSame = (one: ModelChoice, other: ModelChoice): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

function unreadable(error: unknown): never {
  const { code = 'unreadable' } = error as NodeJS.ErrnoException;
  throw new ConfigError(`MODELS_FILE must be a file that this user can read (${code})`);
}
