import type { Size } from '@app/config';
import type { InferenceRequest } from './inference.dto';

/** The body of `POST /v1/images/generations` that means the same. `size`: what is drawn when a request does not say. */
export function toGeneration({ inputs, parameters = {} }: InferenceRequest, size: Size): object {
  const { scheduler: sampler, ...others } = parameters;
  // Whatever they are: the rule of `size` finds out.
  const { width, height, ...own } = others as Partial<Record<string, number | null>>;
  return {
    ...own,
    prompt: inputs,
    size: `${width ?? size.width}x${height ?? size.height}`,
    sampler,
  };
}
