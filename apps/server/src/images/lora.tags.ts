import { ServiceError } from '@app/errors';
import { readAs } from '../validation/request.pipe';
import type { PictureOptions } from './images.dto';
import type { LoraOption } from './lora.dto';

/** As AUTOMATIC1111 writes LoRAs into prompts: `<lora:NAME>`, `<lora:NAME:0.8>`, or `<lora:NAME:TEXT:UNET>`. */
const TAG = /<(?:lora|lyco):([^<>:]+)(?::([^<>]*))?>/gi;

export interface TaggedPrompt {
  /** Without the tags. */
  readonly prompt: string;
  /** Each once: what several tags of one say adds up, as there. */
  readonly loras: readonly LoraOption[];
}

/** A tag that cannot be applied as it is written is refused. */
export function readLoraTags(text: string): TaggedPrompt {
  const scales = new Map<string, number>();
  const prompt = text.replace(TAG, (tag, name: string, scale?: string) => {
    scales.set(name, (scales.get(name) ?? 0) + (scale === undefined ? 1 : scaleOf(tag, scale)));
    return '';
  });
  return {
    prompt: scales.size > 0 ? prompt.trim() : text,
    loras: [...scales].map(([name, scale]) => ({ name, scale })),
  };
}

/** The request with what its prompt names among its `loras`, which have their rules. */
export async function applyLoraTags<T extends PictureOptions & { readonly prompt: string }>(
  request: T,
): Promise<T> {
  const { prompt, loras: tagged } = readLoraTags(request.prompt);
  if (tagged.length === 0) return request;
  const loras = [...(request.loras ?? []), ...tagged];
  return readAs(request.constructor as new () => T, { ...request, prompt, loras });
}

/** The engine knows one strength for text encoders and UNet. */
function scaleOf(tag: string, text: string): number {
  const [scale, ...others] = text.split(':').map((part) => (part.trim() === '' ? NaN : Number(part)));
  if (Number.isFinite(scale) && others.every((other) => other === scale)) return scale;
  const sentence = `Expected <lora:NAME:SCALE>, with one number for all of the model, in prompt but received ${tag.slice(0, 100)}`;
  throw new ServiceError('invalid_request', sentence, 'prompt');
}
