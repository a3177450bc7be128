import type { Size } from '@app/config';
import { findSampler, findScheduler } from '@app/models';
import { DEFAULT_STRENGTH, MIN_HIRES_STRENGTH, SIZE_STEP, ASKED_STEP } from '@app/models/family';
import type { CallersNames } from '../errors/callers.names';
import { readLoraTags } from '../images/lora.tags';
import { toInput } from '../images/picture.input';
import type { DrawingRequest, Img2ImgRequest, Txt2ImgRequest } from './drawing.dto';

/** Fields of the bodies below, as that server calls them. */
export const THEIR_NAMES: CallersNames = new Map([
  ['n', 'batch_size'],
  ['sampler', 'sampler_name'],
  ['image', 'init_images'],
  ['hires', 'enable_hr'],
  ['hires.scale', 'hr_scale'],
  ['hires.upscaler', 'hr_upscaler'],
]);

/** The body of `POST /v1/images/generations` that means the same. `size`: what is drawn when a request does not say; `model`: that it names. */
export function toPicture(request: Txt2ImgRequest, size: Size, model?: string): object {
  return {
    ...toGeneration(request, size, model),
    ...(request.enable_hr && { hires: toHires(request, size) }),
  };
}

function toHires(request: Txt2ImgRequest, size: Size): object {
  const { hr_scale = 2, hr_resize_x = 0, hr_resize_y = 0, hr_second_pass_steps, hr_upscaler } = request;
  const { width = size.width, height = size.height, denoising_strength = DEFAULT_STRENGTH } = request;
  const resized = Math.max(hr_resize_x / side(width), hr_resize_y / side(height));
  return {
    scale: resized > 0 ? resized : hr_scale,
    steps: hr_second_pass_steps || undefined,
    strength: Math.max(MIN_HIRES_STRENGTH, denoising_strength),
    // There "None" is larger all the same, by plain pixels.
    upscaler: hr_upscaler === 'None' ? 'Lanczos' : hr_upscaler || undefined,
  };
}

function toGeneration(request: DrawingRequest, size: Size, model?: string): object {
  const { batch_size = 1, n_iter = 1, seed = -1 } = request;
  const count = batch_size * n_iter;
  const { prompt, loras } = readLoraTags(request.prompt);
  const sampler = request.sampler_name || request.sampler_index || undefined;
  const scheduler = isAutomatic(request.scheduler) ? undefined : request.scheduler;
  // That server minds no capitals; what is not known is refused as it came.
  const found = sampler === undefined ? undefined : findSampler(sampler);
  return {
    ...{ prompt, model },
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
export function toEdit(request: Img2ImgRequest, size: Size, model?: string): object {
  const {
    init_images: [image],
    mask,
    denoising_strength: strength = DEFAULT_STRENGTH,
  } = request;
  const given = request.width !== undefined || request.height !== undefined;
  return {
    ...toGeneration(request, size, model),
    ...(!given && { size: undefined }),
    ...{ image: toInput(image ?? ''), strength, mask: mask && toInput(mask) },
  };
}

/** As that server makes them. */
const side = (pixels: number): number => Math.max(SIZE_STEP, Math.floor(pixels / ASKED_STEP) * ASKED_STEP);

const isAutomatic = (scheduler = ''): boolean => ['', 'automatic'].includes(scheduler.toLowerCase());
