import { generationOf, parametersText, picturesOf } from '@app/jobs';
import { parseSize } from '@app/config';
import type { Drawing } from '../images/drawings';
import type { DrawingReply, DrawingRequest } from './drawing.dto';

/** What that server would have answered. `model`: the name of what drew it. */
export function toReply(
  { job, result, pictures }: Drawing,
  request: DrawingRequest,
  model: string,
): DrawingReply {
  const { prompt, negativePrompt, steps, guidanceScale, sampler = '' } = job.picture;
  const { width, height } = parseSize(result.size)!;
  const seeds = picturesOf(result).map(({ seed }) => seed);
  const each = <T>(value: T): T[] => seeds.map(() => value);
  const infotexts = seeds.map((seed) => parametersText(generationOf(job.picture, model, seed)));
  const info = {
    prompt,
    all_prompts: each(prompt),
    negative_prompt: negativePrompt,
    all_negative_prompts: each(negativePrompt),
    seed: seeds[0],
    all_seeds: seeds,
    subseed: -1,
    all_subseeds: each(-1),
    subseed_strength: 0,
    width,
    height,
    sampler_name: request.sampler_name ?? sampler,
    cfg_scale: guidanceScale,
    steps,
    batch_size: seeds.length,
    sd_model_name: model,
    sd_model_hash: '',
    index_of_first_image: 0,
    infotexts,
    styles: [],
    job_timestamp: timestamp(job.createdAt),
    clip_skip: job.picture.clipSkip ?? 1,
    warnings: result.warnings,
  };
  const { send_images = true } = request;
  return {
    images: send_images ? pictures.map((picture) => picture.toString('base64')) : [],
    parameters: request,
    info: JSON.stringify(info),
  };
}

/** 20261127112233 */
export const timestamp = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/\D/g, '').slice(0, 14);
