import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Jobs } from '@app/jobs';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { DrawingController } from './drawing.controller';

const NIGHT = join(__dirname, '../../../../libs/models/demo/loras/night.safetensors');

interface Reply {
  images: string[];
  parameters: object;
  info: string;
}

/** Bodies as these programs send them, with sizes of the demo. */
const RECORDED: [string, object, object][] = [
  [
    'Open WebUI 0.12',
    {
      ...{ prompt: 'a fox', batch_size: 1, width: 128, height: 64, steps: 20, negative_prompt: 'blurry' },
      ...{ sampler_name: 'Euler a', cfg_scale: 7, scheduler: 'Karras' }, // AUTOMATIC1111_PARAMS
    },
    {
      ...{ prompt: 'a fox', width: 128, height: 64, steps: 20, negativePrompt: 'blurry', guidanceScale: 7 },
      ...{ sampler: 'euler_a', scheduler: 'karras' },
    },
  ],
  [
    'LibreChat',
    {
      ...{ prompt: 'a fox', negative_prompt: 'blurry', sampler_index: 'DPM++ 2M Karras', cfg_scale: 4.5 },
      ...{ steps: 22, width: 128, height: 128 },
    },
    { steps: 22, guidanceScale: 4.5, sampler: 'dpm++2m', scheduler: 'karras', width: 128, height: 128 },
  ],
  [
    'SillyTavern',
    {
      ...{
        url: 'http://127.0.0.1:7860',
        auth: '',
        prompt: 'a fox',
        negative_prompt: '',
        sampler_name: 'DDIM',
      },
      ...{ scheduler: 'Automatic', steps: 20, cfg_scale: 7, width: 128, height: 128, restore_faces: false },
      ...{ enable_hr: false, hr_upscaler: 'Latent', hr_scale: 1, hr_additional_modules: [] },
      ...{ denoising_strength: 0.7, hr_second_pass_steps: 0, clip_skip: 1 },
      override_settings: { CLIP_stop_at_last_layers: 1 },
      ...{ override_settings_restore_afterwards: true, save_images: true, send_images: true },
      ...{ do_not_save_grid: false, do_not_save_samples: false },
      alwayson_scripts: { ADetailer: { args: [true, true, { ad_model: 'face_yolov8n.pt' }] } },
    },
    { steps: 20, sampler: 'ddim_trailing', scheduler: undefined, clipSkip: undefined, hires: undefined },
  ],
  [
    'a front end with a second sampling',
    {
      ...{ prompt: 'a fox', width: 128, height: 64, steps: 20, enable_hr: true, hr_scale: 1.5 },
      ...{ hr_upscaler: 'Latent (bicubic)', hr_second_pass_steps: 8, denoising_strength: 0.55 },
    },
    {
      ...{ width: 128, height: 64, steps: 20 },
      hires: { width: 192, height: 96, steps: 8, strength: 0.55, upscaler: 'Latent (bicubic)' },
    },
  ],
  [
    'that server’s documentation',
    {
      ...{ prompt: 'a fox', width: 128, height: 64, enable_hr: true, hr_upscaler: null, hr_resize_x: 0 },
      ...{ hr_second_pass_steps: 0, denoising_strength: 0 },
    },
    { hires: { width: 256, height: 128, steps: 50, strength: 0.01, upscaler: 'Latent' } },
  ],
  [
    'sides of the second sampling',
    {
      ...{ prompt: 'a fox', width: 128, height: 64, enable_hr: true, hr_upscaler: 'None', hr_scale: 2 },
      ...{ hr_resize_x: 256, hr_resize_y: 192 },
    },
    { hires: { width: 384, height: 192, strength: 0.75, upscaler: 'Lanczos' } },
  ],
  [
    'sides of other steps',
    { prompt: 'a fox', width: 109, height: 72, enable_hr: true, hr_scale: 2 },
    { width: 104, height: 72, hires: { width: 208, height: 144, strength: 0.75 } },
  ],
  ['no more than a prompt', { prompt: 'a fox' }, { width: 128, height: 128, steps: 50, guidanceScale: 5 }],
  [
    'nulls',
    { prompt: 'a fox', seed: null, sampler_name: null, steps: null, width: null, styles: null },
    { width: 128, steps: 50, sampler: undefined },
  ],
];

describe(DrawingController.name, () => {
  const loras = mkdtempSync(join(tmpdir(), 'loras-'));
  const [ann, bob] = ['ann', 'bob'].map((name) => key(name, ['draw', 'read']));
  let api: Api;
  const draw = (body: object, by = ann) => http(api.url).post('/sdapi/v1/txt2img').set(by.header).send(body);
  const progress = async (by = ann) => {
    const { body } = await http(api.url).get('/sdapi/v1/progress').set(by.header).expect(200);
    return body as { progress: number; state: Record<string, unknown> };
  };
  const interrupt = (by = ann) => http(api.url).post('/sdapi/v1/interrupt').set(by.header).expect(200, {});

  beforeAll(() => copyFileSync(NIGHT, join(loras, 'night.safetensors')));
  afterAll(() => rmSync(loras, { recursive: true }));
  beforeEach(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([ann.entry, bob.entry]), LORA_DIR: loras });
    api.pipeline.loraDir = loras;
  });
  afterEach(() => api.close());

  it.each(RECORDED)('should draw what %s asks for', async (_name, body, drawn) => {
    const reply = await draw(body).expect(200);
    const { images, info, parameters } = reply.body as Reply;
    expect(api.pipeline.requests).toHaveLength(1);
    const [request] = api.pipeline.requests;
    const absent = { sampler: undefined, scheduler: undefined, clipSkip: undefined, hires: undefined };
    expect({ ...absent, ...request }).toMatchObject(drawn);
    const { seed } = request;
    const { width, height } = request.hires ?? request;
    expect(images).toHaveLength(1);
    const picture = await sharp(Buffer.from(images[0], 'base64')).metadata();
    expect(picture).toMatchObject({ format: 'png', width, height });
    expect(JSON.parse(info)).toMatchObject({
      ...{ prompt: 'a fox', all_prompts: ['a fox'], seed, all_seeds: [seed], width, height },
      infotexts: [expect.stringContaining(`Seed: ${seed}, Size: ${request.width}x${request.height}`)],
    });
    expect(parameters).toMatchObject({ prompt: 'a fox' });
  });

  it.each([
    ['an upscaler that is not there', { hr_upscaler: 'R-ESRGAN 4x+' }, 404, 'hr_upscaler'],
    ['a scale that makes nothing larger', { hr_resize_x: 64 }, 400, 'hr_scale'],
    ['more pixels than may be', { hr_scale: 4, width: 1024, height: 1024 }, 400, 'hr_scale'],
  ])('should refuse %s', async (_what, body, status, param) => {
    const reply = await draw({ prompt: 'x', width: 128, height: 64, enable_hr: true, ...body });
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status,
      body: { error: { param } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should draw a batch, with a seed for each', async () => {
    const { body } = await draw({ prompt: 'x', batch_size: 2, n_iter: 2, seed: 7, width: 64, height: 64 });
    const { images, info } = body as Reply;
    expect(images).toHaveLength(4);
    expect(JSON.parse(info)).toMatchObject({
      seed: 7,
      all_seeds: [7, 8, 9, 10],
      all_prompts: Array(4).fill('x'),
    });
    const { error } = (await draw({ prompt: 'x', batch_size: 5 })).body as { error: object };
    expect(error).toMatchObject({
      param: 'batch_size',
      message: expect.stringMatching(/ for batch_size but received 5$/) as string,
    });
  });

  it('should keep pictures that are not sent', async () => {
    const { body } = await draw({ prompt: 'x', send_images: false }).expect(200);
    expect((body as Reply).images).toEqual([]);
    expect((await api.app.get(Jobs).list({ limit: 9 })).jobs).toMatchObject([{ state: 'succeeded' }]);
  });

  it('should make sides those that can be drawn, and tell', async () => {
    const { body } = await draw({ prompt: 'x', width: 100, height: 10 }).expect(200);
    expect(api.pipeline.requests).toMatchObject([{ width: 96, height: 64 }]);
    expect(JSON.parse((body as Reply).info)).toMatchObject({ width: 96, height: 64 });
  });

  it('should apply LoRAs that the prompt names', async () => {
    await draw({ prompt: 'a fox <lora:night:0.8>' }).expect(200);
    expect(api.pipeline.requests).toMatchObject([
      { prompt: 'a fox', loras: [{ name: 'night', scale: 0.8 }] },
    ]);
    expect((await draw({ prompt: 'a fox <lora:nobody:1>' })).body).toMatchObject({
      error: { code: 'lora_not_found', message: expect.stringContaining('There are: night') },
    });
  });

  it.each([
    [{}, 'prompt', /1 to 32000/],
    [{ prompt: 'x', steps: 0 }, 'steps', /from 1 to 150 for steps but received 0$/],
    [
      { prompt: 'x', sampler_name: 'DPM++ SDE' },
      'sampler_name',
      /for sampler_name but received "DPM\+\+ SDE"$/,
    ],
    [{ prompt: 'x', enable_hr: true, hr_scale: 9 }, 'hr_scale', /for hr_scale but received 9$/],
    [{ prompt: 'x', width: 4096, height: 4096 }, 'size', /at most 2097152 pixels/],
    [{ prompt: 'x <lora:night:1:2>' }, 'prompt', /<lora:night:1:2>$/],
  ])('should refuse %p with 400', async (body, param, message) => {
    const reply = await draw(body);
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param, message: expect.stringMatching(message) } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should tell a caller how far its request is, and nobody else', async () => {
    const idle = { progress: 0, state: { job: '', job_count: 0, sampling_step: 0 } };
    expect(await progress()).toMatchObject(idle);
    let done!: () => void;
    api.pipeline.work = (_signal, listeners) => {
      listeners?.onProgress?.({ phase: 'sampling', step: 5, steps: 20 });
      return new Promise((resolve) => (done = resolve));
    };
    const reply = draw({ prompt: 'x', steps: 20 }).then(({ body }) => body as Reply);
    await until(async () => (await progress()).state.sampling_step === 5);
    const [job] = (await api.app.get(Jobs).list({ limit: 9 })).jobs;
    expect(await progress()).toMatchObject({
      progress: 0.25,
      state: { job: job.id, job_count: 1, sampling_step: 5, sampling_steps: 20 },
    });
    expect(await progress(bob)).toMatchObject(idle);
    done();
    expect((await reply).images).toHaveLength(1);
    expect(await progress()).toMatchObject(idle);
  });

  it('should interrupt the oldest request of the caller, and nobody else', async () => {
    await interrupt(); // of nothing
    const held = api.pipeline.hold();
    const first = draw({ prompt: 'first' }).then((reply) => reply);
    await held;
    const second = draw({ prompt: 'second' }).then((reply) => reply);
    await until(async () => (await progress()).state.job_count === 2);
    await interrupt(bob);
    expect((await progress()).state.job_count).toBe(2);
    api.pipeline.work = () => Promise.resolve();
    await interrupt();
    expect((await first).body).toMatchObject({ error: { code: 'cancelled' } });
    expect((await second).status).toBe(200);
  });

  it('should leave nothing behind when a front end goes away', async () => {
    const held = api.pipeline.hold();
    const leaving = new AbortController();
    const body = JSON.stringify({ prompt: 'x' });
    const reply = fetch(`${api.url}/sdapi/v1/txt2img`, {
      ...{ method: 'POST', body, signal: leaving.signal },
      headers: { ...ann.header, 'content-type': 'application/json' },
    });
    await held;
    leaving.abort();
    await expect(reply).rejects.toThrow();
    await until(async () => (await progress()).state.job_count === 0);
    await until(async () => (await api.app.get(Jobs).list({ limit: 9 })).jobs[0].state === 'cancelled');
  });
});
