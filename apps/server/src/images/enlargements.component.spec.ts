import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { copiesIn } from '../../../../test/support/inputs';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { marksOf, readParameters } from '../../../../test/support/parameters.reader';
import { writeUpscaler } from '../../../../test/support/upscaler';
import { Enlargements } from './enlargements';

interface Reply {
  data: { url: string; size: string }[];
  generation: Record<string, unknown>;
  error?: { code: string; param: string; message: string };
}

describe(Enlargements.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'upscalers-'));
  const path = join(folder, 'twice.safetensors');
  let api: Api;
  const start = async (variables: Record<string, string> = {}) => {
    api = await startApi({ MAX_PIXELS: '262144', ...variables });
    api.pipeline.upscalerDir = folder;
  };
  const post = (body: object, route = 'generations') =>
    http(api.url)
      .post(`/v1/images/${route}`)
      .send({ prompt: 'a fox', size: '128x64', ...body });
  const draw = async (body: object) => (await post(body).expect(200)).body as Reply;
  const refusal = async (body: object) => {
    const { status, body: reply } = await post(body);
    expect(api.pipeline.requests).toEqual([]);
    return { status, ...(reply as Reply).error! };
  };
  const dataUrl = async (background: string) => {
    const png = sharp({ create: { width: 128, height: 64, channels: 3, background } }).png();
    return `data:image/png;base64,${(await png.toBuffer()).toString('base64')}`;
  };

  beforeAll(() => writeUpscaler(path, 2));
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => api.close());

  it('should have the engine sample twice, as is usual where nothing else is said', async () => {
    await start();
    const { data, generation } = await draw({ hires: { scale: 1.7 }, num_inference_steps: 6, n: 2 });
    // 217.6 and 108.8 pixels are nearest to these.
    const hires = { width: 192, height: 128, steps: 6, strength: 0.7, upscaler: 'Latent' };
    expect(api.pipeline.requests[0]).toMatchObject({ width: 128, height: 64, count: 2 });
    expect(api.pipeline.requests[0].hires).toEqual(hires);
    expect(api.pipeline.requests[0]).not.toHaveProperty('upscaler');
    expect(data.map(({ size }) => size)).toEqual(['192x128', '192x128']);
    expect(generation).toMatchObject({
      size: '128x64',
      hires: { scale: 1.7, steps: 6, strength: 0.7, upscaler: 'Latent' },
      upscale: null,
    });
  });

  it('should tell all that was asked for, in the words of requests, and in the file', async () => {
    await start();
    const hires = { scale: 2, steps: 3, strength: 0.25, upscaler: 'LATENT (nearest)' };
    const { data, generation } = await draw({ hires, upscale: 'twice' });
    expect(api.pipeline.requests[0]).toMatchObject({
      hires: { width: 256, height: 128, steps: 3, strength: 0.25, upscaler: 'Latent (nearest)' },
      upscaler: path,
    });
    expect(generation).toMatchObject({
      hires: { ...hires, upscaler: 'Latent (nearest)' },
      upscale: 'twice',
    });
    expect(data[0].size).toBe('512x256');
    const file = await (await fetch(api.url + new URL(data[0].url).pathname)).arrayBuffer();
    expect(await sharp(file).metadata()).toMatchObject({ width: 512, height: 256 });
    expect(readParameters((await marksOf(file)).parameters[0])).toMatchObject({
      ...{ Size: '128x64', 'Hires upscale': '2', 'Hires steps': '3', 'Hires upscaler': 'Latent (nearest)' },
      ...{ 'Denoising strength': '0.25', 'Postprocess upscaler': 'twice' },
    });
  });

  it('should count the steps of both, and no others', async () => {
    await start();
    const { id } = (
      await post({ hires: { scale: 2, steps: 2, strength: 0.5 }, num_inference_steps: 2, n: 2 })
    ).body as { id: string };
    const { body } = await http(api.url).get(`/v1/jobs/${id}`).expect(200);
    expect((body as { progress: object }).progress).toMatchObject({ step: 10, steps: 10, percent: 100 });
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toMatch(/^image_sampling_steps_total 10$/m);
  });

  it('should let a model make the first picture larger', async () => {
    await start();
    await draw({ hires: { scale: 1, upscaler: 'twice' } });
    expect(api.pipeline.requests[0].hires).toEqual({
      ...{ width: 128, height: 64, steps: 50, strength: 0.7, model: path },
    });
  });

  it('should enlarge what begins from a picture, whose size is known when it is read', async () => {
    await start();
    const image = await dataUrl('#00ff00');
    await draw({ image, size: null, hires: { scale: 2 } });
    expect(api.pipeline.requests[0]).toMatchObject({ width: 128, hires: { width: 256, height: 128 } });
    const { body } = await post({ image, size: null, hires: { scale: 4 }, upscale: 'nobody' });
    expect(body).toMatchObject({ error: { param: 'upscale' } });
  });

  it('should leave no copies of a picture that would become too large', async () => {
    await start({ MAX_PIXELS: '16384' });
    const image = await dataUrl('#00ff00');
    expect(await refusal({ image, size: null, hires: { scale: 4 } })).toMatchObject({ param: 'hires.scale' });
    expect(await copiesIn(api.storage)).toEqual([]);
  });

  it.each<[string, object, object]>([
    [
      'too many pixels, with a scale that is not too large',
      { hires: { scale: 4 }, size: '256x256' },
      {
        ...{ status: 400, param: 'hires.scale' },
        message: expect.stringMatching(
          /at most 262144 pixels \(MAX_PIXELS\).* hires\.scale of 2\.12, but received 1024x1024$/,
        ),
      },
    ],
    ['no scale', { hires: {} }, { status: 400, param: 'hires.scale' }],
    ['a scale of 5', { hires: { scale: 5 } }, { status: 400, param: 'hires.scale' }],
    ['no strength', { hires: { scale: 2, strength: 0 } }, { status: 400, param: 'hires.strength' }],
    ['a list', { hires: [{ scale: 2 }] }, { status: 400, param: 'hires' }],
    ['a number', { hires: 2 }, { status: 400, param: 'hires' }],
    ['another field', { hires: { scale: 2, width: 9 } }, { status: 400, param: 'hires.width' }],
    [
      'an unknown upscaler',
      { hires: { scale: 2, upscaler: 'R-ESRGAN 4x+' } },
      {
        ...{ status: 404, code: 'upscaler_not_found', param: 'hires.upscaler' },
        message: expect.stringContaining('There are: twice. Latent, Latent (nearest),'),
      },
    ],
    ['an unknown model', { upscale: 'sharp' }, { status: 404, code: 'upscaler_not_found', param: 'upscale' }],
    ['a path', { upscale: '../twice' }, { status: 400, param: 'upscale' }],
  ])('should refuse %s', async (_what, body, error) => {
    await start();
    expect(await refusal(body)).toMatchObject(error);
  });

  it('should refuse a mask beside it, for what is outside stays to the bit', async () => {
    await start();
    const image = await dataUrl('#00ff00');
    for (const [field, value] of Object.entries({ hires: { scale: 2 }, upscale: 'twice' }))
      expect(await refusal({ image, mask: await dataUrl('#ffffff'), [field]: value })).toMatchObject({
        ...{ status: 400, param: field },
      });
  });

  it('should refuse what no device has the memory for, at the size that is sampled last', async () => {
    await start();
    api.pipeline.mostOf = { 0: 4 * 128 * 64 };
    await draw({ hires: { scale: 2 } });
    api.pipeline.requests.length = 0;
    expect(await refusal({ hires: { scale: 3 } })).toMatchObject({
      ...{ status: 400, param: 'hires.scale' },
      message: expect.stringContaining(
        'the device has the memory after hires, as with a hires.scale of 2.24,',
      ),
    });
  });

  it('should refuse more than 4096x4096 pixels of a model', async () => {
    await start({ MAX_PIXELS: '16777216' });
    expect(await refusal({ upscale: 'twice', size: '2048x2112' })).toMatchObject({
      ...{ status: 400, param: 'upscale' },
      message: expect.stringContaining('at most 16777216 pixels after upscale'),
    });
    expect(await refusal({ upscale: 'twice', size: '1024x1024', hires: { scale: 4 } })).toMatchObject({
      param: 'upscale',
    });
  });

  it('should be listed, by what the folder has', async () => {
    await start();
    const list = async () => (await http(api.url).get('/v1/upscalers').expect(200)).body as unknown;
    expect(await list()).toEqual({ object: 'list', data: [{ name: 'twice', factor: 2 }] });
    api.pipeline.upscalerDir = undefined;
    expect(await list()).toEqual({ object: 'list', data: [] });
    api.pipeline.upscalerDir = join(folder, 'away');
    await http(api.url).get('/v1/upscalers').expect(503);
  });
});
