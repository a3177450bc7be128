import OpenAI from 'openai';
import sharp from 'sharp';
import { ServiceError, type ErrorCode } from '@app/errors';
import { startApi, type Api } from '../../../../test/support/api';
import { describedFetch } from '../../../../test/support/described.fetch';
import { key } from '../../../../test/support/keys';

/** The official client, pointed at this service. */
const clientOf = ({ url }: Api, apiKey = 'none') =>
  new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0, fetch: describedFetch(fetch) });

type Generation = OpenAI.Images.ImageGenerateParamsNonStreaming;
/** Fields of this service beside OpenAI's: its clients pass them on. */
const own = (fields: object) => fields as Partial<Generation>;

describe("OpenAI's images", () => {
  let api: Api;
  let client: OpenAI;

  beforeAll(async () => {
    api = await startApi();
    client = clientOf(api);
  });
  afterAll(async () => {
    // In place of one that it cut, the client opens a connection on which nothing ever comes.
    api.app.getHttpServer().closeAllConnections();
    await api.close();
  });
  beforeEach(() => {
    api.pipeline.requests.length = 0;
    api.pipeline.work = () => Promise.resolve();
  });

  it('should take every field that may be null as not given', async () => {
    const { data } = await client.images.generate({
      ...{ prompt: 'a fox', background: null, complexity: null, frame_count: null, frame_duration_ms: null },
      ...{ model: null, moderation: null, n: null, output_compression: null, output_format: null },
      ...{ quality: null, response_format: null, safety_identifier: null, size: null, stream: null },
      ...{ style: null, svg: null, partial_images: null },
    });
    expect(data).toHaveLength(1);
    expect(api.pipeline.requests).toMatchObject([{ prompt: 'a fox', width: 128, height: 128, steps: 50 }]);
  });

  it('should answer with every key of the reply as its type says', async () => {
    const reply = await client.images.generate({
      ...{ prompt: 'a fox', model: 'dall-e-3', n: 1, size: '512x512', quality: 'high', style: 'vivid' },
      ...{ moderation: 'low', background: 'opaque', output_format: 'png', output_compression: 100 },
      ...{ response_format: 'url', user: 'ann', safety_identifier: 'a-hash' },
      ...own({ seed: 42, num_inference_steps: 3 }),
    });
    expect(reply).toMatchObject({
      created: expect.any(Number) as number,
      ...{ background: 'opaque', output_format: 'png', quality: 'high', size: '512x512' },
      usage: {
        ...{ input_tokens: 0, output_tokens: 0, total_tokens: 0 },
        input_tokens_details: { image_tokens: 0, text_tokens: 0 },
      },
      data: [{ seed: 42, size: '512x512' }],
    });
    expect(reply.data![0]).not.toHaveProperty('b64_json');
    expect(api.pipeline.requests).toMatchObject([{ width: 512, seed: 42, steps: 3 }]);
    const bytes = await (await fetch(reply.data![0].url!)).arrayBuffer();
    expect(await sharp(Buffer.from(bytes)).metadata()).toMatchObject({ format: 'png', width: 512 });
    expect((reply as unknown as { warnings: string[] }).warnings).toContainEqual(
      expect.stringMatching(/^style /),
    );
  });

  it.each<[Generation['model'], Generation['response_format'], 'url' | 'b64_json']>([
    [undefined, undefined, 'url'],
    ['dall-e-2', null, 'url'],
    ['gpt-image-1', undefined, 'b64_json'],
    ['chatgpt-image-latest', undefined, 'b64_json'],
    ['gpt-image-1', 'url', 'url'],
    ['dall-e-3', 'b64_json', 'b64_json'],
    ['demo', undefined, 'url'],
  ])('should answer model %s and response_format %s with %s alone', async (model, format, expected) => {
    const { data } = await client.images.generate({
      ...{ prompt: 'a fox', size: '64x64', model, response_format: format },
    });
    const [image] = data!;
    expect(Object.keys(image).filter((name) => /url|b64/.test(name))).toEqual([expected]);
    if (!image.b64_json) return;
    const picture = await sharp(Buffer.from(image.b64_json, 'base64')).metadata();
    expect(picture).toMatchObject({ format: 'png', width: 64, height: 64 });
  });

  it.each([
    ['low', 20],
    ['medium', 30],
    ['auto', 50],
    ['standard', 50],
    ['high', 50],
    ['hd', 50],
    ['xhigh', 50],
    ['max', 50],
  ] as const)(
    'should draw quality %s in %i steps, or in those that are asked for',
    async (quality, steps) => {
      await client.images.generate({ prompt: 'x', size: 'auto', quality });
      await client.images.generate({
        prompt: 'x',
        size: 'auto',
        quality,
        ...own({ num_inference_steps: 7 }),
      });
      expect(api.pipeline.requests.map((request) => request.steps)).toEqual([steps, 7]);
    },
  );

  it('should draw as many as n says', async () => {
    const fields = { prompt: 'x', size: '64x64', n: 2, ...own({ seed: 7 }) } as const;
    const { data: links } = await client.images.generate({ ...fields, response_format: 'url' });
    expect(new Set(links!.map(({ url }) => url)).size).toBe(2);
    const { data } = await client.images.generate({ ...fields, response_format: 'b64_json' });
    for (const [i, image] of data!.entries()) {
      const bytes = await (await fetch(links![i].url!)).arrayBuffer();
      expect(image.b64_json).toBe(Buffer.from(bytes).toString('base64'));
      expect(image).toMatchObject({ seed: 7 + i });
    }
    expect(data).toHaveLength(2);
    const streamed = client.images.generate({ ...fields, stream: true });
    await expect(streamed).rejects.toMatchObject({ status: 400, param: 'n' });
  });

  it('should queue a request under safety_identifier where it names no user', async () => {
    const reply = await client.images.generate({ prompt: 'x', safety_identifier: 'ann' });
    const job = await client.get<{ user_id: string }>(`/jobs/${(reply as unknown as { id: string }).id}`);
    expect(job).toMatchObject({ user_id: 'ann' });
  });

  const refused: [string, Partial<Generation>, string, RegExp][] = [
    ['a transparent ground', { background: 'transparent' }, 'background', /transparent/],
    ['an animation', { output_format: 'gif' }, 'output_format', /one of png, jpeg, webp/],
    ['a drawing in vectors', { output_format: 'svg' }, 'output_format', /one of png, jpeg, webp/],
    ['frames', { frame_count: 4 }, 'frame_count', /still images/],
    ['the time of frames', { frame_duration_ms: 40 }, 'frame_duration_ms', /still images/],
    ['an author of vectors', { svg: { model: 'x' } }, 'svg', /vector/],
    ['a quality that is none', { quality: 'best' as 'high' }, 'quality', /low, medium/],
    ['a form that is none', { response_format: 'binary' as 'url' }, 'response_format', /url, b64_json/],
    ['a size in other steps', { size: '1536x860' }, 'size', /multiples of 8 /],
    ['too strong a compression', { output_compression: 101 }, 'output_compression', /0 to 100/],
    ['a model without a name', { model: '' }, 'model', /model/],
  ];
  it.each(refused)('should refuse %s in a sentence', async (_what, fields, param, message) => {
    const error = await client.images.generate({ prompt: 'x', ...fields }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ status: 400, code: 'invalid_request', param });
    expect((error as Error).message).toMatch(message);
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should name all fields that are unknown in one answer', async () => {
    const fields = own({ sede: 1, guidence: 2 });
    await expect(client.images.generate({ prompt: 'x', ...fields })).rejects.toThrow(/sede, guidence$/);
  });

  it('should refuse a model that it has not, naming those that it has', async () => {
    const error = await client.images
      .generate({ prompt: 'x', model: 'flux' })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect((error as Error).message).toMatch(/"flux".*demo, gpt-image-1, /);
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should answer with the job where that is asked for', async () => {
    const options = { headers: { prefer: 'respond-async' } };
    const { data: job, response } = await client.images.generate({ prompt: 'x' }, options).withResponse();
    expect(response.status).toBe(202);
    expect(job).toMatchObject({ object: 'job', route: 'generations' });
  });

  const classes: [ErrorCode, abstract new (...parameters: never[]) => unknown, number][] = [
    ['generation_failed', OpenAI.InternalServerError, 500],
    ['lora_not_applied', OpenAI.UnprocessableEntityError, 422],
    ['cancelled', OpenAI.ConflictError, 409],
    ['queue_full', OpenAI.InternalServerError, 503],
  ];
  it.each(classes)('should raise %s in the class of its status', async (code, type, status) => {
    api.pipeline.work = () => Promise.reject(new ServiceError(code, 'Why it is'));
    const error = await client.images.generate({ prompt: 'x' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({
      status,
      code,
      requestID: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
  });

  it('should let the client retry what may succeed, and nothing else', async () => {
    const patient = client.withOptions({ maxRetries: 1 });
    let attempts = 0;
    api.pipeline.work = () => (attempts++ ? Promise.resolve() : Promise.reject(failure));
    let failure = new ServiceError('storage_unavailable', 'Not now');
    expect((await patient.images.generate({ prompt: 'x' })).data).toHaveLength(1);
    attempts = 0;
    failure = new ServiceError('cancelled', 'Not at all');
    await expect(patient.images.generate({ prompt: 'x' })).rejects.toBeInstanceOf(OpenAI.ConflictError);
    expect(attempts).toBe(1);
  });

  it('should stop the job of a client that goes', async () => {
    const stopped = new Promise((resolve) => {
      api.pipeline.work = (signal) =>
        new Promise((_, reject) =>
          signal!.addEventListener('abort', () => {
            resolve(undefined);
            reject(signal!.reason as Error);
          }),
        );
    });
    const waiting = client.images.generate({ prompt: 'x' }, { timeout: 500 });
    await expect(waiting).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    await stopped;
  });
});

describe("OpenAI's models", () => {
  it('should list the model and its other names, each of which can be asked for', async () => {
    const api = await startApi({ MODEL_ALIASES: 'gpt-image-1,dall-e-2' });
    api.pipeline.state = { state: 'ready', model: 'stabilityai/stable-diffusion-xl-base-1.0' };
    const client = clientOf(api);
    const found = [];
    for await (const model of client.models.list()) found.push(model);
    expect(found).toEqual([
      { ...common, id: 'stabilityai/stable-diffusion-xl-base-1.0', owned_by: 'stabilityai' },
      { ...common, id: 'gpt-image-1', owned_by: 'sdxl-image-service' },
      { ...common, id: 'dall-e-2', owned_by: 'sdxl-image-service' },
    ]);
    for (const model of found) {
      expect(await client.models.retrieve(model.id)).toEqual(model);
      expect((await client.images.generate({ prompt: 'x', model: model.id })).data).toHaveLength(1);
    }
    const unencoded = await fetch(`${api.url}/v1/models/stabilityai/stable-diffusion-xl-base-1.0`);
    expect(await unencoded.json()).toEqual(found[0]);
    await expect(client.models.retrieve('dall-e-3')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await api.close();
  });
  const common = { object: 'model', created: expect.any(Number) as number };

  it('should have no other name where none is wanted', async () => {
    const api = await startApi({ MODEL_ALIASES: ',' });
    const { data } = await clientOf(api).models.list();
    expect(data.map(({ id }) => id)).toEqual(['demo']);
    await api.close();
  });

  it('should ask for a key as every route, in the classes of the client', async () => {
    const draws = key('draws', ['draw']);
    const api = await startApi({ API_KEYS: JSON.stringify([draws.entry]) });
    await expect(clientOf(api).models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    const client = clientOf(api, draws.secret);
    await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect((await client.images.generate({ prompt: 'x' })).data).toHaveLength(1);
    await api.close();
  });

  it('should be refused as often as rules say, in the class of the client', async () => {
    const api = await startApi({ RATE_LIMIT_PER_ADDRESS: '1' });
    const client = clientOf(api);
    await client.models.list();
    await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    await api.close();
  });
});
