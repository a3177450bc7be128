import type { Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { findSampler } from '@app/models';
import type { CallersNames } from '../errors/callers.names';
import { isBase64Picture, toInput } from '../images/picture.input';
import type { InferenceRequest } from './inference.dto';

/** The body of `POST /v1/images/generations` that means the same. `size`: what is drawn when a request does not say. */
export function toGeneration({ inputs, parameters = {} }: InferenceRequest, size: Size): object {
  const { target_size, prompt, ...others } = parameters;
  if (prompt === undefined && isBase64Picture(inputs)) {
    const sentence = 'Expected a text for prompt, beside the picture of inputs, but received nothing';
    throw new ServiceError('invalid_request', sentence, 'prompt');
  }
  // Whatever they are: the rule of `size` finds out.
  const sides = { ...others, ...(target_size as object | undefined) } as Partial<
    Record<'width' | 'height', number | null>
  >;
  const { width, height, ...own } = sides;
  const given = (width ?? height ?? undefined) !== undefined;
  return {
    ...own,
    ...(given && { size: `${width ?? size.width}x${height ?? size.height}` }),
    ...samplingOf(own),
    // With a prompt of their own, inputs are the picture to begin from.
    ...(prompt === undefined ? { prompt: inputs } : { prompt, image: toInput(inputs) }),
  };
}

/** What diffusers calls a scheduler is a sampler here, if it is one and no other is named. */
function samplingOf({ sampler, scheduler }: Readonly<Record<string, unknown>>): object {
  const isFree = (sampler ?? undefined) === undefined && typeof scheduler === 'string';
  const found = isFree ? findSampler(scheduler) : undefined;
  return found ? { scheduler: undefined, ...found } : {};
}

/** Where `inputs` of that request is a field of our own. */
export const namesOf = ({ parameters }: InferenceRequest): CallersNames =>
  new Map([[parameters?.prompt === undefined ? 'prompt' : 'image', 'inputs']]);
