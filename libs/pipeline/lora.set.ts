import type { GenerateOptions } from './engine.protocol';

/** One text for the same LoRAs at the same strengths. */
export const loraSet = (loras: GenerateOptions['loras'] = []): string =>
  loras
    .map(({ path, scale = 1 }) => `${scale} ${path}`)
    .sort()
    .join();
