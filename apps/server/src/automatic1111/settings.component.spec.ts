import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { writeUpscaler } from '../../../../test/support/upscaler';
import { SettingsController } from './settings.controller';

const NIGHT = join(__dirname, '../../../../libs/models/demo/loras/night.safetensors');

describe(SettingsController.name, () => {
  const loras = mkdtempSync(join(tmpdir(), 'loras-'));
  const ann = key('ann', ['draw', 'read']);
  const authorization = `Basic ${Buffer.from(`ann:${ann.secret}`).toString('base64')}`;
  let api: Api;
  const get = async (what: string) => {
    const { body } = await http(api.url).get(`/sdapi/v1/${what}`).set({ authorization }).expect(200);
    return body as unknown;
  };
  const choose = (options: object) =>
    http(api.url).post('/sdapi/v1/options').set({ authorization }).send(options);

  beforeAll(async () => {
    copyFileSync(NIGHT, join(loras, 'night.safetensors'));
    api = await startApi({ API_KEYS: JSON.stringify([ann.entry]) });
    api.pipeline.loraDir = loras;
  });
  afterAll(async () => {
    await api.close();
    rmSync(loras, { recursive: true });
  });

  it('should name the model where front ends look for it', async () => {
    expect(await get('options')).toMatchObject({ sd_model_checkpoint: 'demo' });
    expect(await get('sd-models')).toMatchObject([{ title: 'demo', model_name: 'demo' }]);
  });

  it('should let it be chosen, as Open WebUI does with all settings, and no other', async () => {
    await choose({ ...((await get('options')) as object), CLIP_stop_at_last_layers: 2 }).expect(200, {});
    await choose({ sd_vae: 'Automatic' }).expect(200, {});
    const { status, body } = await choose({ sd_model_checkpoint: 'sd_xl.safetensors [31e35c80fc]' });
    expect({ status, body: body as object }).toMatchObject({
      status: 400,
      body: {
        error: { param: 'sd_model_checkpoint', message: expect.stringContaining('Expected demo, the') },
      },
    });
  });

  it('should list samplers and schedulers by names that requests can have', async () => {
    const samplers = (await get('samplers')) as { name: string }[];
    expect(samplers).toContainEqual({
      name: 'Euler a',
      aliases: expect.arrayContaining(['euler_a']),
      options: {},
    });
    const schedulers = (await get('schedulers')) as { name: string; label: string }[];
    expect(schedulers.slice(0, 3)).toMatchObject([
      { name: 'automatic', label: 'Automatic' },
      { name: 'discrete' },
      { name: 'karras', label: 'Karras' },
    ]);
    for (const choice of [
      ...samplers.map(({ name }) => ({ sampler_name: name })),
      ...schedulers.flatMap(({ name, label }) => [{ scheduler: name }, { scheduler: label }]),
    ]) {
      const body = { prompt: 'x', width: 64, height: 64, ...choice };
      await http(api.url).post('/sdapi/v1/txt2img').set({ authorization }).send(body).expect(200);
    }
    expect(new Set(api.pipeline.requests.map(({ sampler }) => sampler)).size).toBe(samplers.length + 1);
  });

  it('should list the LoRAs', async () => {
    expect(await get('loras')).toEqual([{ name: 'night', alias: 'night', path: '', metadata: {} }]);
  });

  it('should list the upscalers by names that requests can have', async () => {
    await writeUpscaler(join(loras, 'sharp.safetensors'), 2);
    api.pipeline.upscalerDir = loras;
    const upscalers = (await get('upscalers')) as { name: string; scale: number }[];
    expect(upscalers.map(({ name, scale }) => [name, scale])).toEqual([
      ['None', 1],
      ['Lanczos', 4],
      ['Nearest', 4],
      ['sharp', 2],
    ]);
    const modes = (await get('latent-upscale-modes')) as { name: string }[];
    expect(modes).toHaveLength(6);
    expect(modes[0]).toEqual({ name: 'Latent' });
    api.pipeline.requests.length = 0;
    for (const { name } of [...upscalers, ...modes]) {
      const body = { prompt: 'x', width: 64, height: 64, enable_hr: true, hr_upscaler: name };
      await http(api.url).post('/sdapi/v1/txt2img').set({ authorization }).send(body).expect(200);
    }
    const used = api.pipeline.requests.map(({ hires }) => hires!.upscaler ?? hires!.model);
    // "None" is larger all the same there, by plain pixels.
    expect(new Set(used).size).toBe(upscalers.length + modes.length - 1);
  });

  it('should list the embeddings', async () => {
    expect(await get('embeddings')).toEqual({ loaded: {}, skipped: {} });
    api.pipeline.embeddings = [
      { name: 'night-sky', path: '/models/night-sky.safetensors', vectors: 4, sha256: 'a', stamp: '' },
    ];
    const unknown = { step: null, sd_checkpoint: null, sd_checkpoint_name: null };
    const loaded = { 'night-sky': { ...unknown, shape: 1280, vectors: 4 } };
    expect(await get('embeddings')).toEqual({ loaded, skipped: {} });
    const { body } = await http(api.url).get('/v1/embeddings').set({ authorization }).expect(200);
    expect(body).toEqual({ object: 'list', data: [{ name: 'night-sky', vectors: 4 }] });
  });

  it('should answer whatever else SillyTavern asks before it draws', async () => {
    expect(await get('sd-vae')).toEqual([]);
    expect(await get('progress')).toMatchObject({ progress: 0, state: { job_count: 0 } });
  });
});
