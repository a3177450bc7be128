import type { Size } from '@app/config';
import { findSampler, findScheduler } from '@app/models';
import { DEFAULT_STRENGTH, SIZE_STEP } from '@app/models/family';
import { readLoraTags } from '../images/lora.tags';
import { toInput } from '../images/picture.input';
import type { Img2ImgRequest, Txt2ImgRequest } from './drawing.dto';

/** The body of `POST /v1/images/generations` that means the same. `size`: what is drawn when a request does not say. */
export function toGeneration(request: Txt2ImgRequest, size: Size): object {
  const { batch_size = 1, n_iter = 1, seed = -1 } = request;
  const count = batch_size * n_iter;
  const { prompt, loras } = readLoraTags(request.prompt);
  const sampler = request.sampler_name || request.sampler_index || undefined;
  const scheduler = isAutomatic(request.scheduler) ? undefined : request.scheduler;
  // That server minds no capitals; what is not known is refused as it came.
  const found = sampler === undefined ? undefined : findSampler(sampler);
  return {
    prompt,
    ...(loras.length > 0 && { loras }),
    negative_prompt: request.negative_prompt,
    num_inference_steps: request.steps,
    guidance_scale: request.cfg_scale,
    size: `${side(request.width ?? size.width)}x${side(request.height ?? size.height)}`,
    seed: seed < 0 ? undefined : seed,
    sampler: found?.sampler ?? sampler,
    scheduler: scheduler === undefined ? found?.scheduler : (findScheduler(scheduler) ?? scheduler),
    n: count,
  };
}

/** The same with a picture to begin from. Without sides the result has its proportions. */
export function toEdit(request: Img2ImgRequest, size: Size): object {
  const {
    init_images: [image],
    mask,
    denoising_strength: strength = DEFAULT_STRENGTH,
  } = request;
  const given = request.width !== undefined || request.height !== undefined;
  return {
    ...toGeneration(request, size),
    ...(!given && { size: undefined }),
    ...{ image: toInput(image ?? ''), strength, mask: mask && toInput(mask) },
  };
}

/** That server makes sides multiples of 8; this model's are of 64. */
const side = (pixels: number): number => Math.max(SIZE_STEP, Math.round(pixels / SIZE_STEP) * SIZE_STEP);

const isAutomatic = (scheduler = ''): boolean => ['', 'automatic'].includes(scheduler.toLowerCase());
