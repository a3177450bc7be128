import type { JobControl, PictureJob } from './picture.job';

/** What the engine does where it is told nothing. */
const SAMPLER = 'euler';
const SCHEDULER = 'discrete';

/** A picture is not only looked at: the image begins from it. */
export const isEdit = ({ imageKey }: PictureJob): boolean => imageKey !== undefined;

/** What made an image, in the words of requests: with the same model, they give it again. */
export function generationOf(job: PictureJob, model: string, seed = job.seed) {
  const named: { sampler?: string; scheduler?: string; cache?: string } = job;
  const { sampler = SAMPLER, scheduler = SCHEDULER, cache = null } = named;
  return {
    model,
    prompt: job.prompt,
    negative_prompt: job.negativePrompt,
    size: `${job.width}x${job.height}`,
    num_inference_steps: job.steps,
    sampler,
    scheduler,
    guidance_scale: job.guidanceScale,
    seed,
    clip_skip: job.clipSkip ?? null,
    cache,
    loras: job.loras.map(({ name, scale, sha256 }) => ({ name, scale, sha256 })),
    ip_adapter_scale:
      job.referenceKey === undefined || job.identityStrength !== undefined ? null : job.ipAdapterScale,
    identity_strength: job.identityStrength ?? null,
    strength: isEdit(job) ? (job.strength ?? 1) : null,
    hires: hiresOf(job),
    upscale: job.upscaler?.name ?? null,
    face_detail: job.faceDetail ?? null,
    control: job.control ? controlOf(job.control) : null,
  };
}

function hiresOf({ hires }: PictureJob) {
  if (!hires) return null;
  const { scale, steps, strength, upscaler, model } = hires;
  return { scale, steps, strength, upscaler: model?.name ?? upscaler! };
}

const controlOf = ({ name, strength, canny }: JobControl) => ({
  ...{ name, strength },
  preprocess: canny ? 'canny' : null,
});

export type Generation = ReturnType<typeof generationOf>;
