import type { ApiPropertyOptions } from '@nestjs/swagger';
import { LORA_NAME, SAMPLER_NAMES, SAMPLERS, SCHEDULER_NAMES, SCHEDULERS, UPSCALER_NAME } from '@app/models';
import { field, rule } from './fields';

/** A file's name without its folder and ending, as a route lists it. */
const fileName = (kind: string, pattern: RegExp, example: string, expected: string) =>
  field(
    { type: 'string', pattern: pattern.source, maxLength: 128, example },
    rule(kind, expected, (value) => typeof value === 'string' && pattern.test(value)),
  );

export const LoraName = () =>
  fileName('loraName', LORA_NAME, 'film-grain', 'the name of a LoRA as GET /v1/loras lists it');

export const ControlNetName = () =>
  fileName('controlNetName', LORA_NAME, 'canny', 'the name of a ControlNet as GET /v1/control-nets lists it');

export const UpscalerName = () =>
  fileName(
    'upscalerName',
    UPSCALER_NAME,
    'RealESRGAN_x4plus',
    'the name of an upscaler as GET /v1/upscalers lists it',
  );

/** Of one of those, or of what the engine has by itself: whether it is there is told apart. */
export const HiresUpscalerName = (options: ApiPropertyOptions = {}) =>
  field(
    { type: 'string', minLength: 1, maxLength: 128, ...options },
    rule(
      'hiresUpscalerName',
      'the name of an upscaler',
      (value) => typeof value === 'string' && value.length >= 1 && [...value].length <= 128,
    ),
  );

export const STYLE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const STYLE_NAME_RULE = '1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-", the first a letter or a digit';

export const StyleName = () =>
  field(
    { type: 'string', pattern: STYLE_NAME.source, maxLength: 64, example: 'watercolour' },
    rule(
      'styleName',
      'the name of a style as GET /v1/styles lists it',
      (value) => typeof value === 'string' && STYLE_NAME.test(value),
    ),
  );

/** Of any model, of whichever service: whether it is here is told apart. */
export const ModelName = () =>
  field(
    { type: 'string', minLength: 1, maxLength: 256, example: 'stabilityai/stable-diffusion-xl-base-1.0' },
    rule(
      'modelName',
      'the name of a model as GET /v1/models lists it',
      (value) => typeof value === 'string' && value.length >= 1 && value.length <= 256,
    ),
  );

const nameOf = (kind: string, engines: object, names: readonly string[]) =>
  field(
    { type: 'string', enum: [...names] },
    rule(
      kind,
      `one of ${Object.keys(engines).join(', ')}, or what AUTOMATIC1111, ComfyUI or diffusers call it,`,
      (value) => names.includes(value as string),
    ),
  );

export const SamplerName = () => nameOf('sampler', SAMPLERS, SAMPLER_NAMES);
export const SchedulerName = () => nameOf('scheduler', SCHEDULERS, SCHEDULER_NAMES);
