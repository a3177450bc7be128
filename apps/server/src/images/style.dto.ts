import { PickType } from '@nestjs/swagger';
import { Prompt } from '../validation/fields';
import { PictureOptions } from './images.dto';

/** Stands in a style's prompt for what the request wants drawn. */
export const PLACE = '{prompt}';

/** What a style may set: options of a request, by their names there. */
export class StyleOptions extends PickType(PictureOptions, [
  'negative_prompt',
  'size',
  'loras',
  'guidance_scale',
  'ip_adapter_scale',
  'num_inference_steps',
  'sampler',
  'scheduler',
  'clip_skip',
  'cache',
] as const) {}

/** One entry of SUBJECT_STYLES. */
export class StyleFields extends StyleOptions {
  /** For people who choose among the styles. */
  @Prompt({ example: 'Hand-painted, on white paper' })
  readonly description!: string;

  /** What is drawn; `{prompt}` stands for the prompt of memory. Without it the style is for subject alone. */
  @Prompt({ example: 'watercolour painting of {prompt}, soft washes' })
  readonly prompt!: string;
}

/** How a prompt is put, and the options that go with it where a request has none. */
export interface Look {
  readonly prompt: string;
  readonly options: StyleOptions;
  /** Whose it is, where a LoRA of it is missing: the style that was asked for, or the service's own set-up. */
  readonly source: { readonly param?: string; readonly because: string };
}

/** A ready-made look. */
export interface Style extends Pick<StyleFields, 'description' | 'prompt'> {
  readonly name: string;
  readonly options: StyleOptions;
}

export const STYLE_ROUTES = ['memory', 'subject'] as const;
export type StyleRoute = (typeof STYLE_ROUTES)[number];

export const routesOf = ({ prompt }: Style): readonly StyleRoute[] =>
  STYLE_ROUTES.filter((route) => route === 'subject' || prompt.includes(PLACE));
