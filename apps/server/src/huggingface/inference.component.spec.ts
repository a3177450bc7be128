import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { InferenceController } from './inference.controller';

describe(InferenceController.name, () => {
  const ann = key('ann', ['draw']);
  let api: Api;
  const infer = (body: object) => http(api.url).post('/').set(ann.header).send(body);

  beforeEach(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([ann.entry]), NEGATIVE_PROMPT: 'blurry' });
  });
  afterEach(() => api.close());

  it('should answer with the picture itself', async () => {
    const { status, type, body } = await infer({ inputs: 'a fox' });
    expect({ status, type }).toEqual({ status: 200, type: 'image/png' });
    expect(await sharp(body as Buffer).metadata()).toMatchObject({ format: 'png', width: 128, height: 128 });
    expect(api.pipeline.requests).toMatchObject([{ prompt: 'a fox', negativePrompt: 'blurry', steps: 50 }]);
  });

  it('should draw what the parameters of the clients say', async () => {
    const parameters = {
      ...{ negative_prompt: 'a pizza', width: 64, height: 192, num_inference_steps: 3, guidance_scale: 2.5 },
      ...{ scheduler: 'EulerAncestralDiscreteScheduler', seed: 7 },
    };
    await infer({ inputs: 'a fox', model: 'x', parameters }).expect(200);
    expect(api.pipeline.requests).toEqual([
      expect.objectContaining({
        ...{ negativePrompt: 'a pizza', width: 64, height: 192, steps: 3, guidanceScale: 2.5 },
        ...{ sampler: 'euler_a', seed: 7 },
      }),
    ]);
  });

  it.each([
    [{ sampler: 'Euler a' }, { sampler: 'euler_a', scheduler: undefined }],
    [
      { scheduler: 'dpm++ 2m karras', sampler: null },
      { sampler: 'dpm++2m', scheduler: 'karras' },
    ],
    [
      { scheduler: 'karras', sampler: 'euler' },
      { sampler: 'euler', scheduler: 'karras' },
    ],
    [
      { scheduler: 'lcm', sampler: 'euler' },
      { sampler: 'euler', scheduler: 'lcm' },
    ],
    [{ scheduler: 'Karras' }, { sampler: undefined, scheduler: 'karras' }],
  ])('should take %p for what it is', async (parameters, drawn) => {
    await infer({ inputs: 'a fox', parameters }).expect(200);
    const [{ sampler, scheduler }] = api.pipeline.requests;
    expect({ sampler, scheduler }).toEqual(drawn);
  });

  it('should take options of its own beside them, and one side alone', async () => {
    await infer({ inputs: 'a fox', parameters: { width: 64, clip_skip: 1 } }).expect(200);
    expect(api.pipeline.requests).toMatchObject([{ width: 64, height: 128, clipSkip: 1 }]);
  });

  it('should begin from a picture where the prompt is a parameter', async () => {
    const create = { width: 128, height: 64, channels: 3 as const, background: '#ff0000' };
    const inputs = (await sharp({ create }).png().toBuffer()).toString('base64');
    const parameters = { prompt: 'a fox', target_size: { width: 64, height: 64 }, guidance_scale: 2 };
    await infer({ inputs, parameters }).expect(200);
    await infer({ inputs, parameters: { prompt: 'a fox', strength: 0.3 } }).expect(200);
    const [sized, own] = api.pipeline.requests;
    expect(sized).toMatchObject({ prompt: 'a fox', width: 64, height: 64, guidanceScale: 2 });
    expect([...sized.image!.pixels.subarray(0, 3)]).toEqual([255, 0, 0]);
    expect(own.width / own.height).toBe(2);
    expect(own.image?.strength).toBe(0.3);
  });

  it.each([
    [{}, 'inputs', /text for inputs but received nothing$/],
    [{ inputs: ' ' }, 'inputs', /1 to 32000 characters of text for inputs but/],
    [{ inputs: '?', parameters: { prompt: 'x' } }, 'inputs', /for inputs but received/],
    [{ inputs: 'x', parameters: [] }, 'parameters', /an object/],
    [{ inputs: 'x', parameters: { width: 100 } }, 'size', /multiples of 8 .* "100x128"$/],
    [
      { inputs: 'x', parameters: { eta: 1, prediction: 2 } },
      'eta',
      /documented fields but received eta, prediction$/,
    ],
  ])('should refuse %p in words, not in a picture', async (body, param, message) => {
    const reply = await infer(body);
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param, message: expect.stringMatching(message) } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it.each(['png', 'jpeg', 'webp'] as const)(
    'should not take a %s without a prompt for one',
    async (format) => {
      const create = { width: 64, height: 64, channels: 3 as const, background: '#ff0000' };
      const inputs = (await sharp({ create }).toFormat(format).toBuffer()).toString('base64');
      const { status, body } = await infer({ inputs, parameters: { strength: 0.5 } });
      expect({ status, body: body as object }).toMatchObject({
        status: 400,
        body: { error: { param: 'prompt', message: expect.stringMatching(/^Expected a text for prompt/) } },
      });
      expect(api.pipeline.requests).toEqual([]);
    },
  );

  it('should ask strangers for a key, though the address is that of the welcome', async () => {
    expect((await http(api.url).post('/').send({ inputs: 'x' })).status).toBe(401);
    expect((await http(api.url).get('/')).status).toBe(200);
  });
});
