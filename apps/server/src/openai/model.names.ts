import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities } from '@app/jobs';
import { aboutService } from '../docs/service.version';
import { describeValue } from '../validation/describe.value';
import type { ModelEntry } from './models.dto';

/** The names by which the model can be asked for: its own, and MODEL_ALIASES. */
@Injectable()
export class ModelNames {
  private readonly created = Math.floor(Date.now() / 1000);

  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
  ) {}

  list(): ModelEntry[] {
    const ids = new Set([...this.capabilities.models, ...this.config.MODEL_ALIASES]);
    return [...ids].map((id) => ({
      ...{ id, object: 'model', created: this.created },
      owned_by: /^([^/]+)\//.exec(id)?.[1] ?? aboutService().name,
    }));
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

  /** Throws `model_not_found`; with no worker there the job waits for one, whatever its model is. */
  check(id: string | undefined): void {
    if (id !== undefined && this.capabilities.models.length > 0) this.get(id);
  }
}
