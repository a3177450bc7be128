import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import type { Capabilities } from '@app/jobs';
import { PLACE, routesOf, type Style, type StyleRoute } from './style.dto';

/** What subject draws in the place of a prompt. */
const SOMEBODY = 'a person, head and shoulders';

/** The ready-made looks of this service. */
@Injectable()
export class Styles implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Styles.name);
  private readonly closing = new AbortController();
  /** In the order of their names. */
  readonly all: readonly Style[];

  constructor(
    styles: readonly Style[],
    private readonly config: Config,
    private readonly capabilities: Capabilities,
  ) {
    this.all = [...styles].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Once it is known which LoRAs there are, which may be long after the start. */
  onApplicationBootstrap(): void {
    void this.reportAbsentLoras();
  }

  onApplicationShutdown(): void {
    this.closing.abort();
  }

  /** The one that a request names; none: undefined. Throws `style_not_found`, naming those of the route. */
  find(route: StyleRoute, name: string | undefined): Style | undefined {
    if (name === undefined) return undefined;
    const style = this.all.find((one) => one.name === name);
    if (!style)
      throw new ServiceError('style_not_found', `There is no style "${name}". ${this.offer(route)}`, 'style');
    if (!routesOf(style).includes(route)) {
      const sentence = `The style "${name}" has no place for a prompt (${PLACE}), so ${route} does not take it. ${this.offer(route)}`;
      throw new ServiceError('invalid_request', sentence, 'style');
    }
    if (style.options.loras?.length && !this.config.ENABLE_LORA) {
      const sentence = `The style "${name}" needs LoRAs, and this service runs without (ENABLE_LORA)`;
      throw new ServiceError('lora_disabled', sentence, 'style');
    }
    return style;
  }

  private offer(route: StyleRoute): string {
    const names = this.all.filter((style) => routesOf(style).includes(route)).map(({ name }) => name);
    return `There are: ${names.join(', ') || 'none'}.`;
  }

  private async reportAbsentLoras(): Promise<void> {
    const needing = this.all.filter(({ options }) => options.loras?.length);
    if (needing.length === 0) return;
    if (!this.config.ENABLE_LORA) {
      const names = needing.map(({ name }) => name).join(', ');
      return this.logger.warn(`SUBJECT_STYLES: ${names} cannot be used: they need LoRAs (ENABLE_LORA)`);
    }
    await this.capabilities.whenKnown(this.closing.signal);
    for (const { name, options } of needing)
      for (const lora of options.loras ?? []) await this.reportAbsent(name, lora.name);
  }

  private async reportAbsent(style: string, lora: string): Promise<void> {
    if (this.closing.signal.aborted) return;
    try {
      await this.capabilities.lora(lora);
    } catch (error) {
      this.logger.warn(`SUBJECT_STYLES: "${style}" cannot be used: ${(error as Error).message}`);
    }
  }
}

/** What is drawn; `prompt`: of the request, where the route has one. */
export const promptOf = (template: string, prompt = SOMEBODY): string =>
  // A function: in a plain replacement text "$&" of the prompt would mean something.
  template.replaceAll(PLACE, () => prompt);
