import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import sharp from 'sharp';
import { ConfigError } from '@app/config';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { until } from '../../../../test/support/eventually';
import { PipelineStub } from '../../../../test/support/pipeline.stub';
import { Styles } from './styles';

const NIGHT = join(__dirname, '../../../../libs/models/demo/loras/night.safetensors');
const OURS = `
pixel-art:
  description: As games once were
  prompt: pixel art of {prompt}
  negative_prompt: photo
  size: 64x128
  loras: [{ name: night, scale: 0.5 }]
  guidance_scale: 6.5
  ip_adapter_scale: 0.4
  num_inference_steps: 24
lost: { description: x, prompt: x, loras: [{ name: nowhere }] }
`;

describe(Styles.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'styles-'));
  const file = join(folder, 'styles.yaml');
  let api: Api;
  const start = async (variables: Record<string, string> = {}) => {
    api = await startApi({
      SUBJECT_STYLES: file,
      SUBJECT_PROMPT: 'as ever',
      S3_AVATAR_PREFIX: 'avatars/',
      ...variables,
    });
    api.pipeline.loraDir = folder;
    const photo = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c83214' } })
      .png()
      .toBuffer();
    await http(api.url).put('/v1/users/ann/photo').set('content-type', 'image/png').send(photo);
    await http(api.url).put('/v1/users/ann/avatar').set('content-type', 'image/png').send(photo);
  };
  const subject = (body: object) =>
    http(api.url)
      .post('/v1/images/subject')
      .send({ user_id: 'ann', ...body });
  const memory = (body: object) =>
    http(api.url)
      .post('/v1/images/memory')
      .send({ user_id: 'ann', prompt: 'a $& fox', ...body });

  beforeAll(() => {
    writeFileSync(file, OURS);
    copyFileSync(NIGHT, join(folder, 'night.safetensors'));
    copyFileSync(NIGHT, join(folder, 'day.safetensors'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => {
    jest.restoreAllMocks();
    return api.close();
  });

  it('should draw subject and memory by the style, and as ever without one', async () => {
    await start();
    await subject({ style: 'pixel-art' }).expect(200);
    await memory({ style: 'pixel-art' }).expect(200);
    await subject({}).expect(200);
    expect(api.pipeline.requests).toMatchObject([
      {
        ...{
          prompt: 'pixel art of a person, head and shoulders',
          negativePrompt: 'photo',
          width: 64,
          height: 128,
        },
        ...{
          steps: 24,
          guidanceScale: 6.5,
          loras: [{ name: 'night', scale: 0.5 }],
          reference: { strength: 0.4 },
        },
      },
      { prompt: 'pixel art of a $& fox', width: 64, steps: 24 },
      { prompt: 'as ever', negativePrompt: '', width: 128, steps: 50, guidanceScale: 5, loras: [] },
    ]);
  });

  it('should leave what the request says itself, and what its preset does', async () => {
    await start();
    const own = { negative_prompt: '', size: '128x64', num_inference_steps: 3, ip_adapter_scale: 0 };
    await subject({
      style: 'pixel-art',
      ...own,
      loras: [{ name: 'night', scale: 2 }, { name: 'day' }],
    }).expect(200);
    await subject({ style: 'pixel-art', loras: [{ name: 'day' }], guidance_scale: 0 }).expect(200);
    copyFileSync(NIGHT, join(folder, 'lcm.safetensors'));
    await subject({ style: 'pixel-art', preset: 'fast' }).expect(200);
    rmSync(join(folder, 'lcm.safetensors'));
    expect(api.pipeline.requests).toMatchObject([
      {
        ...{
          negativePrompt: '',
          width: 128,
          height: 64,
          steps: 3,
          guidanceScale: 6.5,
          reference: { strength: 0 },
        },
        loras: [
          { name: 'night', scale: 2 },
          { name: 'day', scale: 1 },
        ],
      },
      { guidanceScale: 0, loras: [{ name: 'day' }, { name: 'night', scale: 0.5 }] },
      { steps: 6, guidanceScale: 1.5, loras: [{ name: 'lcm' }, { name: 'night', scale: 0.5 }] },
    ]);
  });

  it("should draw each route with the service's own LoRAs, but for what a style or the request says", async () => {
    await start({ MEMORY_LORAS: 'night:0.4', SUBJECT_LORAS: 'day, night:-1' });
    await memory({});
    await memory({ loras: [{ name: 'night', scale: 2 }, { name: 'day' }] });
    await memory({ style: 'comic' });
    await subject({});
    expect(api.pipeline.requests.map(({ loras }) => loras)).toMatchObject([
      [{ name: 'night', scale: 0.4 }],
      [{ name: 'night', scale: 2 }, { name: 'day' }],
      [],
      [
        { name: 'day', scale: 1 },
        { name: 'night', scale: -1 },
      ],
    ]);
    expect(api.pipeline.requests.map(({ loras }) => loras.length)).toEqual([1, 2, 0, 2]);
  });

  it("should name the variable where the service's own LoRA is not there", async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn');
    await start({ MEMORY_LORAS: 'nowhere' });
    const { status, body } = await memory({});
    const message = expect.stringMatching(
      /^This service draws memory with a LoRA \(MEMORY_LORAS\): There is no LoRA/,
    ) as string;
    expect([status, body]).toMatchObject([404, { error: { code: 'lora_not_found', message } }]);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/^MEMORY_LORAS: There is no LoRA "nowhere"/));
    await subject({}).expect(200);
  });

  it('should list what there is, with the routes that take it', async () => {
    await start();
    const { status, body } = await http(api.url).get('/v1/styles');
    expect(status).toBe(200);
    const { data } = body as { data: { name: string; routes: string[]; options: object }[] };
    expect(data.map(({ name, routes }) => `${name}: ${routes.join(' ')}`)).toEqual([
      'black-and-white: memory subject',
      'business-headshot: subject',
      'comic: memory subject',
      'lost: subject',
      'pixel-art: memory subject',
      'studio-portrait: subject',
      'watercolour: memory subject',
    ]);
    expect(data[4].options).toEqual({
      ...{ negative_prompt: 'photo', size: '64x128', guidance_scale: 6.5, ip_adapter_scale: 0.4 },
      ...{ num_inference_steps: 24, loras: [{ name: 'night', scale: 0.5 }] },
    });
  });

  it.each([
    ['subject', 'nobody', 404, 'style_not_found', /no style "nobody"\. There are: .*comic.*studio-portrait/],
    ['memory', 'studio-portrait', 400, 'invalid_request', /no place for a prompt.*There are: [^s]*comic/],
    ['memory', '../x', 400, 'invalid_request', /the name of a style as GET \/v1\/styles lists it/],
    ['subject', 'lost', 404, 'lora_not_found', /^The style "lost" needs a LoRA: There is no LoRA "nowhere"/],
  ])('should refuse %s by the style %s', async (route, style, status, code, message) => {
    await start();
    const reply = await (route === 'memory' ? memory : subject)({ style });
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status,
      body: { error: { code, param: 'style', message: expect.stringMatching(message) } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should refuse a style with LoRAs where there are none, and say so at the start', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn');
    await start({ ENABLE_LORA: 'false' });
    const { status, body } = await subject({ style: 'pixel-art' });
    expect([status, body]).toMatchObject([422, { error: { code: 'lora_disabled', param: 'style' } }]);
    await subject({ style: 'pixel-art', loras: [] }).expect(422);
    expect(warn).toHaveBeenCalledWith(
      expect.stringMatching(/^SUBJECT_STYLES: lost, pixel-art cannot be used/),
    );
  });

  it('should say at the start which LoRA a style lacks, once it is known which there are', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn');
    const told = () =>
      warn.mock.calls.map(([line]) => String(line)).filter((line) => line.startsWith('SUBJECT_STYLES'));
    let known = () => {};
    jest
      .spyOn(PipelineStub.prototype, 'whenReady')
      .mockReturnValue(new Promise((resolve) => (known = resolve)));
    await start();
    expect(told()).toEqual([]);
    known();
    await until(() => told().length > 0);
    expect(told()).toEqual([
      expect.stringMatching(/^SUBJECT_STYLES: "lost" cannot be used: There is no LoRA "nowhere"/),
    ]);
  });

  it('should know a style from another for an Idempotency-Key', async () => {
    await start();
    const send = (style: string) => subject({ style }).set('idempotency-key', 'one');
    await send('comic').expect(200);
    expect((await send('comic')).headers['idempotency-replayed']).toBe('true');
    expect((await send('watercolour')).status).toBe(422);
    expect(api.pipeline.requests).toHaveLength(1);
  });

  it('should not start with a file that breaks its rules', async () => {
    await start();
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, 'a: { description: x }');
    await expect(startApi({ SUBJECT_STYLES: wrong })).rejects.toThrow(ConfigError);
  });
});
