/*
 * What programs send to the routes that they know from other servers, and what they read of the replies: as their sources
 * have it, with prompts of our own.
 */

/** One request of a program. */
export interface FrontEndRequest {
  readonly method: 'GET' | 'POST' | 'OPTIONS';
  readonly path: string;
  readonly body?: object;
  /** Paths into the reply of what the program reads; `info` is read as JSON where a path goes on in it. */
  readonly reads: readonly string[];
  /** Which of these are pictures, and their size: base64, or an address. */
  readonly pictures?: { readonly at: readonly string[]; readonly size: readonly [number, number] };
}

export interface FrontEnd {
  readonly program: string;
  /** Which sources: repository and commit. */
  readonly from: string;
  /** The key comes as a password. */
  readonly basic?: boolean;
  readonly requests: readonly FrontEndRequest[];
}

const PROMPT = 'a lighthouse on a cliff, watercolour';
const NEGATIVE = 'blurry, watermark';

const generations = (
  body: object,
  form: 'url' | 'b64_json',
  size: readonly [number, number],
  reads: readonly string[] = [],
): FrontEndRequest => {
  const at = [`data.0.${form}`];
  return {
    ...{ method: 'POST', path: '/v1/images/generations', body: { prompt: PROMPT, ...body } },
    ...{ reads: [...at, ...reads], pictures: { at, size } },
  };
};

const txt2img = (
  body: object,
  size: readonly [number, number],
  reads: readonly string[] = [],
): FrontEndRequest => ({
  ...{ method: 'POST', path: '/sdapi/v1/txt2img', body: { prompt: PROMPT, ...body } },
  ...{ reads: ['images.0', ...reads], pictures: { at: ['images.0'], size } },
});

const sdapi = (route: string, ...reads: readonly string[]): FrontEndRequest => ({
  ...{ method: 'GET', path: `/sdapi/v1/${route}`, reads },
});

/** All that webuiapi sends, asked or not. */
const WEBUIAPI = {
  ...{ styles: [], seed: -1, subseed: -1, subseed_strength: 0, seed_resize_from_h: 0, seed_resize_from_w: 0 },
  ...{ batch_size: 1, n_iter: 1, steps: 20, cfg_scale: 7, width: 512, height: 512, restore_faces: false },
  ...{ tiling: false, do_not_save_samples: false, do_not_save_grid: false, negative_prompt: '', eta: 1 },
  ...{ s_churn: 0, s_tmax: 0, s_tmin: 0, s_noise: 1, override_settings: {} },
  ...{ override_settings_restore_afterwards: true, sampler_name: 'Euler a', sampler_index: 'Euler a' },
  ...{ script_name: null, script_args: [], send_images: true, save_images: false, alwayson_scripts: {} },
};

/** `picture`: a PNG in base64, for those who begin from one. */
export const frontEnds = (picture: string): readonly FrontEnd[] => [
  {
    program: 'Open WebUI, engine openai',
    from: 'open-webui/open-webui@02530d5',
    requests: [
      generations(
        { model: 'dall-e-2', n: 1, size: '512x512', response_format: 'b64_json' },
        'b64_json',
        [512, 512],
      ),
      generations(
        { model: 'gpt-image-1.5', n: 2, size: '1024x1024' },
        'b64_json',
        [1024, 1024],
        ['data.1.b64_json'],
      ),
      // Its setting of more parameters.
      generations(
        { model: 'gpt-image-1', n: 1, size: 'auto', quality: 'low', moderation: 'low' },
        'b64_json',
        [128, 128],
      ),
    ],
  },
  {
    program: 'Open WebUI, engine automatic1111',
    from: 'open-webui/open-webui@02530d5',
    basic: true,
    requests: [
      sdapi('options', 'sd_model_checkpoint'),
      sdapi('sd-models', '0.title', '0.model_name'),
      { method: 'POST', path: '/sdapi/v1/options', body: { sd_model_checkpoint: 'demo' }, reads: [] },
      txt2img({ batch_size: 1, width: 512, height: 512, steps: 50 }, [512, 512], ['info']),
      txt2img(
        {
          ...{ batch_size: 2, width: 512, height: 768, steps: 20, negative_prompt: NEGATIVE },
          ...{ sampler_name: 'DPM++ 2M', scheduler: 'Karras', cfg_scale: 7 },
        },
        [512, 768],
        ['images.1', 'info'],
      ),
    ],
  },
  {
    program: 'LibreChat, OpenAI image tools',
    from: 'danny-avila/LibreChat@00b3bc3',
    requests: [
      generations(
        {
          ...{ model: 'gpt-image-1', n: 1, background: 'auto', output_format: 'png' },
          ...{ quality: 'auto', size: 'auto' },
        },
        'b64_json',
        [128, 128],
      ),
      generations(
        {
          ...{
            model: 'gpt-image-1',
            n: 1,
            background: 'opaque',
            output_format: 'webp',
            output_compression: 100,
          },
          ...{ quality: 'high', size: '1536x1024' },
        },
        'b64_json',
        [1536, 1024],
      ),
    ],
  },
  {
    program: 'LibreChat, stable-diffusion',
    from: 'danny-avila/LibreChat@00b3bc3',
    requests: [
      txt2img(
        { negative_prompt: NEGATIVE, cfg_scale: 4.5, steps: 22, width: 1024, height: 1024 },
        [1024, 1024],
        ['info.seed', 'info.width', 'info.height', 'info.infotexts.0'],
      ),
    ],
  },
  {
    program: 'LangChain.js, DallEAPIWrapper',
    from: 'langchain-ai/langchainjs@050cfc0',
    requests: [
      generations(
        {
          ...{ model: 'dall-e-3', n: 1, size: '1024x1024', response_format: 'url' },
          ...{ style: 'vivid', quality: 'standard' },
        },
        'url',
        [1024, 1024],
      ),
      generations(
        {
          ...{ model: 'dall-e-3', n: 1, size: '1024x1792', response_format: 'b64_json' },
          ...{ style: 'natural', quality: 'hd', user: 'ann' },
        },
        'b64_json',
        [1024, 1792],
      ),
    ],
  },
  {
    program: 'LangChain for Python, DallEAPIWrapper',
    from: 'langchain-ai/langchain@08b4fce',
    requests: [
      generations(
        { model: 'dall-e-2', n: 2, size: '1024x1024', quality: 'standard' },
        'url',
        [1024, 1024],
        ['data.1.url'],
      ),
    ],
  },
  {
    program: 'n8n, OpenAI node',
    from: 'n8n-io/n8n@0713e95',
    requests: [
      { method: 'GET', path: '/v1/models', reads: ['data.0.id'] },
      generations(
        { model: 'gpt-image-1-mini', quality: 'medium', size: '1024x1024' },
        'b64_json',
        [1024, 1024],
      ),
      generations(
        {
          model: 'dall-e-3',
          response_format: 'b64_json',
          quality: 'hd',
          size: '1792x1024',
          style: 'natural',
        },
        'b64_json',
        [1792, 1024],
      ),
      generations(
        { model: 'dall-e-2', response_format: 'url', n: 2, size: '256x256' },
        'url',
        [256, 256],
        ['data.1.url'],
      ),
    ],
  },
  {
    program: 'SillyTavern, AUTOMATIC1111',
    from: 'SillyTavern/SillyTavern@02903fd',
    basic: true,
    requests: [
      sdapi('options', 'sd_model_checkpoint'),
      sdapi('samplers', '0.name'),
      sdapi('schedulers', '0.name'),
      sdapi('sd-models', '0.title'),
      sdapi('upscalers', '0.name'),
      sdapi('latent-upscale-modes'),
      sdapi('sd-vae'),
      { method: 'POST', path: '/sdapi/v1/options', body: { sd_model_checkpoint: 'demo' }, reads: [] },
      sdapi('progress', 'progress', 'state.job_count'),
      txt2img(
        {
          ...{ url: 'http://127.0.0.1:7860', auth: 'ann:secret', negative_prompt: NEGATIVE, seed: undefined },
          ...{ sampler_name: 'DDIM', scheduler: 'normal', steps: 20, cfg_scale: 7, width: 512, height: 512 },
          ...{ restore_faces: false, enable_hr: false, hr_upscaler: 'Latent', hr_scale: 1 },
          ...{ hr_additional_modules: [], denoising_strength: 0.7, hr_second_pass_steps: 0 },
          override_settings: { CLIP_stop_at_last_layers: 1 },
          ...{
            override_settings_restore_afterwards: true,
            clip_skip: 1,
            save_images: true,
            send_images: true,
          },
          ...{ do_not_save_grid: false, do_not_save_samples: false },
        },
        [512, 512],
      ),
      { method: 'POST', path: '/sdapi/v1/interrupt', reads: [] },
    ],
  },
  {
    program: 'SillyTavern, stable-diffusion.cpp',
    from: 'SillyTavern/SillyTavern@02903fd',
    requests: [
      { method: 'OPTIONS', path: '/v1/images/generations', reads: [] },
      { method: 'GET', path: '/v1/models', reads: ['data.0.id'] },
      txt2img(
        {
          ...{ negative_prompt: NEGATIVE, width: 512, height: 512, steps: 20, cfg_scale: 7, seed: 42 },
          ...{ batch_size: 1, sampler_name: 'euler_a', scheduler: 'discrete', clip_skip: 2 },
        },
        [512, 512],
      ),
    ],
  },
  {
    program: 'AI SDK, @ai-sdk/openai',
    from: 'vercel/ai@00b2961',
    requests: [
      generations(
        { model: 'demo', n: 1, size: '1024x1024', response_format: 'b64_json' },
        'b64_json',
        [1024, 1024],
        [
          'created',
          'usage.input_tokens',
          'usage.output_tokens',
          'usage.total_tokens',
          'size',
          'output_format',
        ],
      ),
      generations(
        { model: 'gpt-image-1', n: 1, size: '1024x1024', quality: 'high' },
        'b64_json',
        [1024, 1024],
      ),
    ],
  },
  {
    program: 'AI SDK, @ai-sdk/openai-compatible',
    from: 'vercel/ai@1091292',
    requests: [
      generations(
        { model: 'demo', n: 3, size: '512x512', response_format: 'b64_json' },
        'b64_json',
        [512, 512],
        ['data.2.b64_json'],
      ),
      // Options for the provider go into the body as they are.
      generations(
        { model: 'demo', n: 1, seed: 7, num_inference_steps: 8, response_format: 'b64_json' },
        'b64_json',
        [128, 128],
      ),
    ],
  },
  {
    program: 'Nextcloud, integration_openai',
    from: 'nextcloud/integration_openai@005c48b',
    requests: [generations({ model: 'dall-e-2', n: 1, size: '1024x1024' }, 'url', [1024, 1024])],
  },
  {
    program: 'Nextcloud, integration_openai, basic authentication',
    from: 'nextcloud/integration_openai@005c48b',
    basic: true,
    requests: [
      { method: 'GET', path: '/v1/models', reads: ['data.0.id'] },
      generations({ model: 'demo', n: 2, size: '512x512' }, 'url', [512, 512], ['data.1.url']),
    ],
  },
  {
    program: 'webuiapi',
    from: 'mix1009/sdwebuiapi@0a20a8f',
    basic: true,
    requests: [
      txt2img(
        {
          ...WEBUIAPI,
          ...{ enable_hr: false, hr_scale: 2, hr_upscaler: 'Latent', hr_second_pass_steps: 0 },
          ...{ hr_resize_x: 0, hr_resize_y: 0, denoising_strength: 0.7 },
          ...{ firstphase_width: 0, firstphase_height: 0 },
        },
        [512, 512],
        ['info.seed', 'parameters'],
      ),
      {
        ...{ method: 'POST', path: '/sdapi/v1/img2img', reads: ['images.0', 'info.seed', 'parameters'] },
        body: {
          ...{ ...WEBUIAPI, prompt: PROMPT, init_images: [`data:image/png;base64,${picture}`] },
          ...{ resize_mode: 0, denoising_strength: 0.75, mask_blur: 4, inpainting_fill: 0 },
          ...{ inpaint_full_res: true, inpaint_full_res_padding: 0, inpainting_mask_invert: 0 },
          ...{ initial_noise_multiplier: 1, image_cfg_scale: 1.5, include_init_images: false },
        },
        pictures: { at: ['images.0'], size: [512, 512] },
      },
      sdapi('options', 'sd_model_checkpoint'),
      sdapi('loras'),
      sdapi('progress', 'progress', 'eta_relative', 'state'),
    ],
  },
];
