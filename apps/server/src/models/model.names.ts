import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities } from '@app/jobs';
import { ModelCatalog, wantedModel } from '@app/models';
import { aboutService } from '../docs/service.version';
import { describeValue } from '../validation/describe.value';
import type { ModelEntry } from './models.dto';

/** What a request is drawn with. */
export interface ChosenModel {
  /** As jobs name it; undefined: the first, whichever that is when it is drawn. */
  readonly name?: string;
  readonly config: Config;
  readonly capabilities: Capabilities;
}

/** The names by which models can be asked for: those of MODELS_FILE, or the one of the environment; and MODEL_ALIASES. */
@Injectable()
export class ModelNames {
  private readonly created = Math.floor(Date.now() / 1000);

  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
    private readonly catalog: ModelCatalog,
  ) {}

  get several(): boolean {
    return this.catalog.several;
  }

  /** Without other names for them. While it is not known what draws, what this process was told. */
  get own(): readonly string[] {
    if (this.several) return this.catalog.all.map(({ name }) => name);
    const { models } = this.capabilities;
    return models.length > 0 ? models : [wantedModel(this.config)];
  }

  list(): ModelEntry[] {
    const { catalog, capabilities } = this;
    if (!catalog.several)
      return [...new Set([...capabilities.models, ...this.config.MODEL_ALIASES])].map((id) => this.entry(id));
    return catalog.all.flatMap(({ name, aliases }) => {
      const loaded = capabilities.loaded.includes(name);
      return [name, ...aliases].map((id) => ({ ...this.entry(id), loaded }));
    });
  }

  /** Throws `model_not_found`, naming what there is. */
  get(id: string): ModelEntry {
    const models = this.list();
    const model = models.find((one) => one.id === id);
    if (model) return model;
    const names = models.map((one) => one.id).join(', ');
    const sentence = `There is no model ${describeValue(id)}. There are: ${names}. MODEL_ALIASES of the service adds names`;
    throw new ServiceError('model_not_found', sentence, 'model');
  }

  /** Throws `model_not_found`; where there is one model, and no worker yet, the job waits for it, whatever it is called. */
  choose(id: string | undefined): ChosenModel {
    const { catalog, capabilities, config } = this;
    if (!catalog.several) {
      if (id !== undefined && capabilities.models.length > 0) this.get(id);
      return { config, capabilities };
    }
    const choice = id === undefined ? catalog.usual : catalog.find(id);
    if (!choice) return this.get(id!) as never;
    const name = id === undefined ? undefined : choice.name;
    return { name, config: choice.config, capabilities: capabilities.of(choice.name) };
  }

  private entry(id: string): ModelEntry {
    const owner = /^([^/]+)\//.exec(id)?.[1] ?? aboutService().name;
    return { id, object: 'model', created: this.created, owned_by: owner };
  }
}
