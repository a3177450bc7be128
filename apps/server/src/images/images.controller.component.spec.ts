import { request as httpRequest } from 'node:http';
import sharp from 'sharp';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';
import { ImagesController } from './images.controller';

const picture = () =>
  sharp({ create: { width: 300, height: 200, channels: 3, background: '#c83214' } })
    .png()
    .toBuffer();

describe(ImagesController.name, () => {
  let api: Api;
  const post = (path: string, body: object) => http(api.url).post(path).send(body);

  beforeEach(async () => {
    api = await startApi({ S3_AVATAR_PREFIX: 'avatars/', MEMORY_PROMPT_TEMPLATE: 'oil: {prompt}' });
  });
  afterEach(() => api.close());

  it('should answer memory with the stored picture, its link, timings and warnings', async () => {
    await api.storage.put('avatars/ann.png', await picture(), 'image/png');
    const { status, body } = await post('/v1/images/memory', { user_id: 'ann', prompt: 'a $& cat', seed: 7 });
    expect(status).toBe(200);
    const id = (body as { id: string }).id;
    expect(id).toMatch(/^[0-9a-f]{24}$/);
    const key = `generated/ann/memory_${id}.png`;
    expect(body).toEqual({
      created: expect.any(Number) as number,
      id,
      data: [
        {
          ...{ s3_uri: `s3://local/${key}`, url: expect.any(String) as string, seed: 7, size: '128x128' },
          likeness: null,
        },
      ],
      tries: 1,
      timings: expect.objectContaining({
        queue_ms: expect.any(Number) as number,
        total_ms: expect.any(Number) as number,
      }) as object,
      warnings: ['a warning'],
      generation: {
        ...{ model: 'demo', prompt: 'oil: a $& cat', negative_prompt: '', size: '128x128' },
        ...{ num_inference_steps: 50, sampler: 'euler', scheduler: 'discrete', guidance_scale: 5, seed: 7 },
        ...{
          clip_skip: null,
          cache: null,
          loras: [],
          ip_adapter_scale: 0.6,
          identity_strength: null,
          strength: null,
          face_detail: null,
          hires: null,
          upscale: null,
          control: null,
        },
      },
    });
    expect(Math.abs((body as { created: number }).created - Date.now() / 1000)).toBeLessThan(5);

    const [generated] = api.pipeline.requests;
    expect(generated).toMatchObject({ prompt: 'oil: a $& cat', steps: 50, guidanceScale: 5, loras: [] });
    expect(generated.reference?.strength).toBe(0.6);
    expect([...generated.reference!.pixels.subarray(0, 3)]).toEqual([200, 50, 20]);

    // The link names the port that was really taken.
    const { url } = (body as { data: [{ url: string }] }).data[0];
    const download = await fetch(url);
    expect(url).toContain(`:${new URL(api.url).port}/images/generated/ann/memory_`);
    expect(download.status).toBe(200);
    const bytes = Buffer.from(await download.arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 128, height: 128 });
  });

  it.each(['png', 'jpeg', 'webp'] as const)('should store and serve the picture as %s', async (format) => {
    const { status, body } = await post('/v1/images/generations', { prompt: 'a cat', output_format: format });
    expect(status).toBe(200);
    const { id, data } = body as { id: string; data: [{ url: string; s3_uri: string }] };
    expect(data[0].s3_uri).toBe(`s3://local/generated/${id}.${format}`);
    const download = await fetch(data[0].url);
    expect(download.headers.get('content-type')).toBe(`image/${format}`);
    expect(await sharp(await download.arrayBuffer()).metadata()).toMatchObject({ format, width: 128 });
    const removed = await http(api.url).delete(new URL(data[0].url).pathname);
    expect([removed.status, (await fetch(data[0].url)).status]).toEqual([204, 404]);
    expect((await http(api.url).get(`/v1/jobs/${id}`)).status).toBe(404);
  });

  it.each([
    [{ output_format: 'gif' }, 'output_format', /one of png, jpeg, webp .* "gif"$/],
    [{ output_format: 'jpeg', output_compression: 101 }, 'output_compression', /from 0 to 100/],
    [{ output_compression: 99 }, 'output_compression', /100 for a PNG, .* jpeg or webp, but received 99$/],
    [{ output_format: 'png', output_compression: 0 }, 'output_compression', /received 0$/],
  ])('should refuse %j', async (options, param, message) => {
    const { status, body } = await post('/v1/images/generations', { prompt: 'a cat', ...options });
    expect(status).toBe(400);
    expect((body as { error: object }).error).toMatchObject({
      ...{ code: 'invalid_request', param },
      message: expect.stringMatching(message) as string,
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should take the quality of a PNG that clients fill in by themselves', async () => {
    const usual = { output_format: 'png', output_compression: 100 };
    expect((await post('/v1/images/generations', { prompt: 'a cat', ...usual })).status).toBe(200);
  });

  it('should draw subject from the photo, with the prompt of the service', async () => {
    await api.storage.put(
      'subjects/ann.webp',
      await sharp(await picture())
        .webp()
        .toBuffer(),
      'image/webp',
    );
    const { status, body } = await post('/v1/images/subject', { user_id: 'ann', num_inference_steps: 3 });
    expect(status).toBe(200);
    expect((body as { data: [{ s3_uri: string }] }).data[0].s3_uri).toMatch(/generated\/ann\/subject_/);
    expect(api.pipeline.requests[0]).toMatchObject({ steps: 3 });
    expect(api.pipeline.requests[0].prompt).toMatch(/portrait/);
  });

  it('should answer generations without a reference and make seeds up', async () => {
    const seeds = new Set<number>();
    for (let i = 0; i < 3; i++) {
      const { body } = await post('/v1/images/generations', { prompt: 'a cat', size: '64x192' });
      const { data, id } = body as { id: string; data: [{ seed: number; size: string; s3_uri: string }] };
      expect(data[0]).toMatchObject({ size: '64x192', s3_uri: `s3://local/generated/${id}.png` });
      seeds.add(data[0].seed);
    }
    expect(seeds.size).toBe(3);
    expect(api.pipeline.requests[0].reference).toBeUndefined();
  });

  it('should take null as left out, as clients send it that serialise unset fields', async () => {
    const optional = [
      'seed',
      'size',
      'num_inference_steps',
      'guidance_scale',
      'negative_prompt',
      'loras',
      'clip_skip',
      'output_format',
      'output_compression',
    ];
    const unset = Object.fromEntries(
      [...optional, 'ip_adapter_scale', 'reference_image_url'].map((key) => [key, null]),
    );
    expect((await post('/v1/images/generations', { prompt: 'a cat', ...unset })).status).toBe(200);
    expect(api.pipeline.requests[0]).toMatchObject({
      steps: 50,
      guidanceScale: 5,
      negativePrompt: '',
      loras: [],
    });
    expect(api.pipeline.requests[0].reference).toBeUndefined();
  });

  it('should read characters that say nothing as blanks', async () => {
    const body = { prompt: 'a\u000bfox\u007f in \ue0000\ue001\tsnow\n', negative_prompt: 'blurry\u0001' };
    expect((await post('/v1/images/generations', body)).status).toBe(200);
    expect(api.pipeline.requests).toMatchObject([
      { prompt: 'a fox  in  0 \tsnow\n', negativePrompt: 'blurry ' },
    ]);
  });

  const faults: [string, object, string, RegExp][] = [
    ['only characters that say nothing', { prompt: '\u0001 \u000b' }, 'prompt', /1 to 32000/],
    ['no prompt', {}, 'prompt', /^Expected 1 to 32000 characters of text for prompt but received nothing$/],
    ['a blank prompt', { prompt: ' \n ' }, 'prompt', /1 to 32000/],
    ['a long prompt', { prompt: 'x'.repeat(32_001) }, 'prompt', /received a text of 32001 characters$/],
    [
      'a longer one than is configured',
      { prompt: 'x'.repeat(10_001) },
      'prompt',
      /MAX_PROMPT_LENGTH.* received 10001$/,
    ],
    [
      'half a surrogate pair',
      { prompt: `\ud83e\udd8a${'a'.repeat(299)}\udc00` },
      'prompt',
      /^Expected 1 to 32000 characters of text without U\+DC00, which is character 301, for prompt but/,
    ],
    ['a NUL', { prompt: 'a\u0000b' }, 'prompt', /without U\+0000, which is character 2, for prompt/],
    [
      'a NUL in what it should not be',
      { prompt: 'x', negative_prompt: '\u0000' },
      'negative_prompt',
      /U\+0000/,
    ],
    ['a number as text', { prompt: 'x', seed: '5' }, 'seed', /whole number from 0 to 4294967295 .* "5"$/],
    ['a seed past 32 bits', { prompt: 'x', seed: 2 ** 32 }, 'seed', /received 4294967296$/],
    ['half a step', { prompt: 'x', num_inference_steps: 1.5 }, 'num_inference_steps', /from 1 to 150/],
    ['no steps', { prompt: 'x', num_inference_steps: 0 }, 'num_inference_steps', /received 0$/],
    ['no clip_skip', { prompt: 'x', clip_skip: 0 }, 'clip_skip', /a whole number from 1 to 12 .* 0$/],
    ['a large clip_skip', { prompt: 'x', clip_skip: 13 }, 'clip_skip', /from 1 to 12 .* 13$/],
    ['half a clip_skip', { prompt: 'x', clip_skip: 1.5 }, 'clip_skip', /from 1 to 12/],
    ['null where a value is needed', { prompt: null }, 'prompt', /1 to 32000 characters .* received null$/],
    [
      'a sampler of others',
      { prompt: 'x', sampler: 'UniPC' },
      'sampler',
      /one of euler, euler_a, .* or diffusers call it, for sampler but received "UniPC"$/,
    ],
    ['a cache of others', { prompt: 'x', cache: 'teacache' }, 'cache', /one of none, ucache, spectrum for/],
    ['a scheduler of others', { prompt: 'x', scheduler: 'karr' }, 'scheduler', /one of discrete, karras/],
    ['a sampler that is none', { prompt: 'x', sampler: 5 }, 'sampler', /received 5$/],
    ['an odd size', { prompt: 'x', size: '100x100' }, 'size', /multiples of 8 from 64/],
    ['a huge size', { prompt: 'x', size: '4096x4096' }, 'size', /at most 2097152 pixels/],
    ['a strong adapter', { prompt: 'x', ip_adapter_scale: 1.1 }, 'ip_adapter_scale', /0 to 1/],
    [
      'another scheme',
      { prompt: 'x', reference_image_url: 'ftp://a/b.png' },
      'reference_image_url',
      /http or/,
    ],
    ['no slashes', { prompt: 'x', webhook_url: 'https:example.com' }, 'webhook_url', /http or https/],
    ['an unknown field', { prompt: 'x', stpes: 5 }, 'stpes', /only documented fields but received stpes/],
    [
      'unknown fields, all by name',
      { prompt: 'x', stpes: 5, loras: [{ name: 'a', wieght: 1 }], siez: '64x64' },
      'stpes',
      /received stpes, loras\.0\.wieght, siez$|received stpes, siez, loras\.0\.wieght$/,
    ],
    [
      'dozens of unknown fields, all by name',
      { prompt: 'x', ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, i])) },
      'f0',
      /received f0, f1, f2, (f\d+, ){26}f29$/,
    ],
    [
      'more unknown fields than fit a sentence, the first by name',
      { prompt: 'x', ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => ['f'.repeat(200) + i, i])) },
      'f'.repeat(100),
      /received (f{100}, ){18}f{100} and 11 more$/,
    ],
    ['no list of LoRAs', { prompt: 'x', loras: 'a' }, 'loras', /a list of at most 8 LoRAs/],
    ['nine LoRAs', { prompt: 'x', loras: Array(9).fill({ name: 'a' }) }, 'loras', /received a list of 9/],
    ['a LoRA that is a name', { prompt: 'x', loras: ['a'] }, 'loras.0', /an object .* "a"$/],
    ['a strong LoRA', { prompt: 'x', loras: [{ name: 'a', scale: 3 }] }, 'loras.0.scale', /-2 to 2 .* 3$/],
    ['a list in a list', { prompt: 'x', loras: [[]] }, 'loras', /a list of at most 8 LoRAs/],
    ['a LoRA path', { prompt: 'x', loras: [{ name: '../a' }] }, 'loras.0.name', /the name of a LoRA/],
    [
      'a LoRA with a space',
      { prompt: 'x', loras: [{ name: 'film grain' }] },
      'loras.0.name',
      /the name of a/,
    ],
    ['a long LoRA', { prompt: 'x', loras: [{ name: 'a'.repeat(129) }] }, 'loras.0.name', /the name of a/],
    ['a LoRA twice', { prompt: 'x', loras: [{ name: 'a' }, { name: 'a' }] }, 'loras.1.name', /once/],
    ['a user', { prompt: 'x', user_id: 'ann' }, 'user_id', /documented fields/],
  ];
  it.each(faults)('should refuse %s', async (_name, fields, param, message) => {
    const { status, body, headers } = await post('/v1/images/generations', fields);
    expect(body).toEqual({
      error: {
        message: expect.stringMatching(message) as string,
        type: 'invalid_request_error',
        param,
        code: 'invalid_request',
      },
      request_id: headers['x-request-id'],
    });
    expect(status).toBe(400);
    expect(headers['x-should-retry']).toBe('false');
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should refuse a body of brackets in brackets, which would overflow the validator', async () => {
    const body = `{"prompt":"x","x":${'['.repeat(5000)}${']'.repeat(5000)}}`;
    const reply = await http(api.url).post('/v1/images/generations').type('json').send(body);
    expect(reply.status).toBe(400);
    expect(reply.body).toMatchObject({ error: { code: 'invalid_request' } });
  });

  it.each(['', '../ann', '.ann', 'a/b', 'a b', 'ä', 'x'.repeat(129)])(
    'should refuse the user id "%s"',
    async (user_id) => {
      const { body } = await post('/v1/images/subject', { user_id });
      expect(body).toMatchObject({ error: { code: 'invalid_request', param: 'user_id' } });
    },
  );

  it('should take prompts of 8000 characters of any script, with line breaks', async () => {
    const prompt = `${'😀'.repeat(7990)}\n\tünï`;
    expect((await post('/v1/images/generations', { prompt })).status).toBe(200);
    expect(api.pipeline.requests[0].prompt).toBe(prompt);
  });

  it('should count the characters of a caller as people do', async () => {
    const body = { prompt: 'x', user: '😀'.repeat(128) };
    expect((await post('/v1/images/generations', body)).status).toBe(200);
    body.user += '😀';
    expect((await post('/v1/images/generations', body)).body).toMatchObject({ error: { param: 'user' } });
  });

  it('should say how to put a missing avatar', async () => {
    const { status, body } = await post('/v1/images/memory', { user_id: 'ann', prompt: 'x' });
    expect(status).toBe(404);
    expect(body).toMatchObject({
      error: {
        code: 'avatar_not_found',
        type: 'not_found_error',
        message: expect.stringContaining('PUT /v1/users/ann/avatar') as string,
      },
    });
  });

  it('should tell an unknown LoRA', async () => {
    const { status, body } = await post('/v1/images/generations', { prompt: 'x', loras: [{ name: 'no' }] });
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'lora_not_found', param: 'loras.0.name' } });
  });

  it('should answer 503 with Retry-After while the model loads', async () => {
    api.pipeline.everReady = false;
    api.pipeline.state = { state: 'loading', percent: 41.7, model: 'demo' };
    const { status, body, headers } = await post('/v1/images/generations', { prompt: 'x' });
    expect(status).toBe(503);
    expect(body).toMatchObject({
      error: { code: 'engine_not_ready', message: expect.stringMatching(/loading \(41 %\)/) as string },
    });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(headers['x-should-retry']).toBeUndefined();
  });

  it('should refuse a picture to draw from when there is no IP-Adapter, before it looks for one', async () => {
    api.pipeline.hasIpAdapter = false;
    for (const [path, body] of [
      ['memory', { user_id: 'nobody', prompt: 'x' }],
      ['subject', { user_id: 'nobody' }],
      ['generations', { prompt: 'x', reference_image_url: 'http://127.0.0.1:9/' }],
    ] as const) {
      const reply = await post(`/v1/images/${path}`, body);
      expect(reply.status).toBe(422);
      expect(reply.body).toMatchObject({ error: { code: 'ip_adapter_disabled' } });
    }
    expect((await post('/v1/images/generations', { prompt: 'x' })).status).toBe(200);
  });

  it('should stop the job of a client that leaves', async () => {
    const held = api.pipeline.hold();
    const aborted = new Promise((resolve) => {
      const work = api.pipeline.work;
      api.pipeline.work = (signal) => {
        signal!.addEventListener('abort', resolve);
        return work(signal);
      };
    });
    const call = httpRequest(`${api.url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    call.on('error', () => undefined);
    call.end(JSON.stringify({ prompt: 'x' }));
    await held;
    call.destroy();
    await aborted;
    for await (const { key } of api.storage.list('generated/')) throw new Error(`stored ${key}`);
  });

  it('should answer a running request with 503 when the service shuts down', async () => {
    const held = api.pipeline.hold();
    const call = post('/v1/images/generations', { prompt: 'x' }).then((reply) => reply);
    await held;
    await api.app.close();
    const { status, body, headers } = await call;
    expect(status).toBe(503);
    expect(body).toMatchObject({ error: { code: 'draining' } });
    expect(headers['retry-after']).toBe('10');
  });

  it.each([
    ['https://example.com/images-api/', '/images-api'],
    ['https://example.com/a/b', '/a/b'],
    ['https://example.com', ''],
  ])('should lead to the job as callers reach it: SERVICE_URL=%s', async (SERVICE_URL, prefix) => {
    const behind = await startApi({ SERVICE_URL });
    try {
      const { body, headers } = await http(behind.url)
        .post('/v1/images/generations')
        .set('Prefer', 'respond-async')
        .send({ prompt: 'x' });
      expect(headers.location).toBe(`${prefix}/v1/jobs/${(body as { id: string }).id}`);
      const welcome = await http(behind.url).get('/');
      expect(welcome.body).toMatchObject({ docs: `${prefix}/docs` });
    } finally {
      await behind.close();
    }
  });
});
