import { SAMPLERS, SCHEDULERS } from '@app/models';
import type { Generation } from '../generation';

/** Digits of a file's hash that Civitai knows it by. */
const SHORT_HASH = 10;

/**
 * What made an image, as AUTOMATIC1111 writes it: the prompts, then a line of settings. Its own reader, Civitai's and
 * ComfyUI's take LoRAs from the prompt.
 */
export function parametersText(generation: Generation): string {
  const { prompt, negative_prompt, loras, sampler, scheduler, hires, control } = generation;
  const tags = loras.map(({ name, scale }) => ` <lora:${name}:${scale}>`).join('');
  const hashes = loras.map(({ name, sha256 }) => `${name}: ${sha256.slice(0, SHORT_HASH)}`);
  const settings: Readonly<Record<string, string | number | null>> = {
    Steps: generation.num_inference_steps,
    Sampler: labelIn(SAMPLERS, sampler),
    'Schedule type': labelIn(SCHEDULERS, scheduler),
    'CFG scale': generation.guidance_scale,
    Seed: generation.seed,
    Size: generation.size,
    Model: generation.model,
    // There a second sampling has no picture to begin from.
    'Denoising strength': generation.strength ?? hires?.strength ?? null,
    'Hires upscale': hires?.scale ?? null,
    'Hires steps': hires?.steps ?? null,
    'Hires upscaler': hires?.upscaler ?? null,
    'Hires denoising strength': generation.strength === null ? null : (hires?.strength ?? null),
    'Postprocess upscaler': generation.upscale,
    'Face detail strength': generation.face_detail?.strength ?? null,
    'Face detail steps': generation.face_detail?.steps ?? null,
    'Clip skip': generation.clip_skip,
    Cache: generation.cache,
    'IP-Adapter scale': generation.ip_adapter_scale,
    'PhotoMaker strength': generation.identity_strength,
    'ControlNet 0':
      control &&
      `Module: ${control.preprocess ?? 'none'}, Model: ${control.name}, Weight: ${control.strength}`,
    'Lora hashes': hashes.length === 0 ? null : hashes.join(', '),
    Version: 'stable-diffusion.cpp',
  };
  const told = Object.entries(settings).filter(([, value]) => value !== null);
  return [
    prompt + tags,
    ...(negative_prompt === '' ? [] : [`Negative prompt: ${negative_prompt}`]),
    told.map(([name, value]) => `${name}: ${quoted(String(value))}`).join(', '),
  ].join('\n');
}

/** AUTOMATIC1111's own name, which stands first. */
const labelIn = (names: Readonly<Record<string, readonly string[]>>, name: string) =>
  names[name]?.[0] ?? name;

const quoted = (value: string) => (/[,:\n]/.test(value) ? JSON.stringify(value) : value);
