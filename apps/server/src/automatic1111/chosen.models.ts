import { Injectable } from '@nestjs/common';
import { ModelNames } from '../models/model.names';

/** Callers whose choice is remembered: of more, those who chose longest ago draw with the first model again. */
const MOST = 10_000;

/**
 * The models that front ends chose as a setting (`POST options`), before requests that name none. Of each caller its own, in
 * this process; where there is one model, nothing is chosen.
 */
@Injectable()
export class ChosenModels {
  private readonly models = new Map<string, string>();

  constructor(private readonly names: ModelNames) {}

  choose(account: string, name: string): void {
    const { name: model } = this.names.choose(name);
    if (model === undefined) return;
    this.models.delete(account);
    this.models.set(account, model);
    if (this.models.size > MOST) this.models.delete(this.models.keys().next().value!);
  }

  /** Absent: the first, also where the chosen one was taken away. */
  of(account: string): string | undefined {
    const model = this.models.get(account);
    return model !== undefined && this.names.own.includes(model) ? model : undefined;
  }
}
