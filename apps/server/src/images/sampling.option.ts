import { findSampler, findScheduler } from '@app/models';
import type { PictureOptions } from './images.dto';

/** By the engine's names: `scheduler` is that which the sampler's name carries, unless it is named by itself. */
export function samplingOf({ sampler, scheduler }: PictureOptions) {
  const found = sampler === undefined ? undefined : findSampler(sampler);
  return { ...found, ...(scheduler !== undefined && { scheduler: findScheduler(scheduler) }) };
}
