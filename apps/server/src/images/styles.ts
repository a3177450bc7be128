import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import type { Capabilities } from '@app/jobs';
import { PLACE, routesOf, STYLE_ROUTES, type Look, type Style, type StyleRoute } from './style.dto';

/** The variables with the LoRAs of a route. */
const USUAL_LORAS = { memory: 'MEMORY_LORAS', subject: 'SUBJECT_LORAS' } as const;
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

  /** The look that a request names, else the route's usual one. Throws `style_not_found`, naming those of the route. */
  find(route: StyleRoute, name: string | undefined): Look {
    if (name === undefined) return this.usual(route);
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
    const source = { param: 'style', because: `The style "${name}" needs a LoRA: ` };
    return { ...style, source };
  }

  private usual(route: StyleRoute): Look {
    const { config } = this;
    return {
      prompt: route === 'memory' ? config.MEMORY_PROMPT_TEMPLATE : config.SUBJECT_PROMPT,
      options: { loras: config[USUAL_LORAS[route]] },
      source: { because: `This service draws ${route} with a LoRA (${USUAL_LORAS[route]}): ` },
    };
  }

  private offer(route: StyleRoute): string {
    const names = this.all.filter((style) => routesOf(style).includes(route)).map(({ name }) => name);
    return `There are: ${names.join(', ') || 'none'}.`;
  }

  private async reportAbsentLoras(): Promise<void> {
    const styles = this.all.filter(({ options }) => options.loras?.length);
    const needing = [
      ...STYLE_ROUTES.map((route) => ({
        ...{ loras: this.usual(route).options.loras ?? [], failing: USUAL_LORAS[route] },
      })),
      ...styles.map(({ name, options }) => ({
        ...{ loras: options.loras ?? [], failing: `SUBJECT_STYLES: "${name}" cannot be used` },
      })),
    ];
    if (needing.every(({ loras }) => loras.length === 0)) return;
    if (!this.config.ENABLE_LORA) {
      const names = styles.map(({ name }) => name).join(', ');
      return this.logger.warn(`SUBJECT_STYLES: ${names} cannot be used: they need LoRAs (ENABLE_LORA)`);
    }
    await this.capabilities.whenKnown(this.closing.signal);
    for (const { loras, failing } of needing)
      for (const { name } of loras) await this.reportAbsent(name, failing);
  }

  private async reportAbsent(lora: string, failing: string): Promise<void> {
    if (this.closing.signal.aborted) return;
    try {
      await this.capabilities.lora(lora);
    } catch (error) {
      this.logger.warn(`${failing}: ${(error as Error).message}`);
    }
  }
}

/** What is drawn; `prompt`: of the request, where the route has one. */
export const promptOf = (template: string, prompt = SOMEBODY): string =>
  // A function: in a plain replacement text "$&" of the prompt would mean something.
  template.replaceAll(PLACE, () => prompt);
