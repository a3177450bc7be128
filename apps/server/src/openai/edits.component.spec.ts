import OpenAI, { toFile } from 'openai';
import sharp from 'sharp';
import { ServiceError } from '@app/errors';
import { copiesIn } from '../../../../test/support/inputs';
import { startApi, type Api } from '../../../../test/support/api';
import { assertEventDescribed } from '../../../../test/support/described';
import { describedFetch } from '../../../../test/support/described.fetch';
import { http } from '../../../../test/support/http';

type EditParams = OpenAI.Images.ImageEditParamsNonStreaming;
/** Fields of this service beside OpenAI's: its clients pass them on. */
const own = (fields: object) => fields as Partial<EditParams>;

const picture = (width: number, height: number, background: string) =>
  sharp({ create: { width, height, channels: 4, background } })
    .png()
    .toBuffer();
const dataUrl = (png: Buffer) => `data:image/png;base64,${png.toString('base64')}`;

describe("OpenAI's edits", () => {
  let api: Api;
  let client: OpenAI;
  let green: Buffer;
  let red: Buffer;
  /** Its left half is transparent. */
  let mask: Buffer;
  const file = (bytes: Buffer, name = 'some.bin', type = 'application/octet-stream') =>
    toFile(bytes, name, { type });

  beforeAll(async () => {
    green = await picture(64, 64, '#00ff00');
    red = await picture(64, 64, '#ff0000');
    mask = await sharp(await picture(64, 64, '#00000000'))
      .composite([{ input: await picture(32, 64, 'black'), left: 32, top: 0 }])
      .png()
      .toBuffer();
    api = await startApi();
    client = new OpenAI({
      ...{ apiKey: 'none', baseURL: `${api.url}/v1`, maxRetries: 0, fetch: describedFetch(fetch) },
    });
  });
  afterAll(async () => {
    // In place of one that it cut, the client opens a connection on which nothing ever comes.
    api.app.getHttpServer().closeAllConnections();
    await api.close();
  });
  beforeEach(() => {
    api.pipeline.requests.length = 0;
    api.pipeline.hasIpAdapter = true;
    api.pipeline.work = () => Promise.resolve();
  });

  const inputs = () => copiesIn(api.storage);
  const post = (body: object) => http(api.url).post('/v1/images/edits').send(body);
  /** What the engine is to begin from, and to paint anew. */
  const given = () => {
    const [{ image, mask: masked, reference }] = api.pipeline.requests;
    return {
      first: image && [...image.pixels.subarray(0, 3)],
      strength: image?.strength,
      masked: masked && [masked[0], masked[63]],
      reference: reference && [...reference.pixels.subarray(0, 3)],
    };
  };
  const GREEN = [0, 255, 0];
  const RED = [255, 0, 0];

  it('should take every field of the client, numbers and booleans as text', async () => {
    const { data: n, ...reply } = await client.images.edit({
      ...{ image: await file(green), mask: await file(mask), prompt: '42', model: 'gpt-image-1', n: 2 },
      ...{ size: '64x64', quality: 'low', background: 'opaque', output_format: 'webp' },
      ...{ output_compression: 80, response_format: 'b64_json', input_fidelity: 'high', complexity: 'low' },
      ...{ stream: false, partial_images: 0, user: '7', safety_identifier: 'a-hash' },
      ...own({ seed: 42, guidance_scale: 1.5, loras: '[]' }),
    });
    expect(reply).toMatchObject({
      ...{ background: 'opaque', output_format: 'webp', quality: 'low', size: '64x64' },
      usage: { total_tokens: 0 },
    });
    expect(n).toHaveLength(2);
    expect(await sharp(Buffer.from(n![0].b64_json!, 'base64')).metadata()).toMatchObject({ format: 'webp' });
    expect(api.pipeline.requests).toMatchObject([
      { prompt: '42', count: 2, seed: 42, guidanceScale: 1.5, steps: 20, width: 64, height: 64 },
    ]);
    expect(given()).toEqual({ first: GREEN, strength: 0.75, masked: [255, 0], reference: undefined });
    const { id, warnings } = reply as unknown as { id: string; warnings: string[] };
    expect(await client.get(`/jobs/${id}`)).toMatchObject({ user_id: '7', route: 'generations' });
    expect(warnings).toContainEqual(expect.stringMatching(/^complexity /));
    expect(await inputs()).toEqual([]);
  });

  it('should change the first of a list, and be guided by the second', async () => {
    await client.images.edit({ image: [await file(green)], prompt: 'x', size: '64x64' });
    expect(given()).toMatchObject({ first: GREEN, strength: 0.75, reference: undefined });
    api.pipeline.requests.length = 0;
    await client.images.edit({ image: [await file(green), await file(red)], prompt: 'x', size: '64x64' });
    expect(given()).toMatchObject({ first: GREEN, reference: RED });
    expect(await inputs()).toEqual([]);
  });

  it.each([
    [undefined, false, undefined, 0.75],
    ['low', false, undefined, 0.75],
    ['high', false, undefined, 0.5],
    ['low', true, undefined, 1],
    ['high', true, undefined, 0.75],
    ['high', true, 0.3, 0.3],
  ] as const)(
    'should change as much as input_fidelity %s says, with a mask (%s), but for strength %s: %f',
    async (input_fidelity, masked, strength, expected) => {
      const body = { image: dataUrl(green), prompt: 'x', input_fidelity, strength };
      await post({ ...body, mask: masked ? dataUrl(mask) : null }).expect(200);
      expect(given()).toMatchObject({ strength: expected });
    },
  );

  it.each<[string, (urls: { green: string; red: string; mask: string }) => object]>([
    ['image', ({ green: image, mask: hole }) => ({ image, mask: hole })],
    ['image as a list', ({ green: one, mask: hole }) => ({ image: [one], mask: { image_url: hole } })],
    [
      'images with references',
      (urls) => ({
        images: [{ image_url: urls.green }, { image_url: urls.red, file_id: null }],
        mask: { image_url: urls.mask },
      }),
    ],
  ])('should take JSON with %s', async (_name, fields) => {
    const body = fields({ green: dataUrl(green), red: dataUrl(red), mask: dataUrl(mask) });
    await post({ prompt: 'x', size: '64x64', n: null, ...body }).expect(200);
    expect(given()).toMatchObject({ first: GREEN, strength: 1, masked: [255, 0] });
    expect(given().reference).toEqual('images' in body ? RED : undefined);
  });

  it('should be refused before its job, by what the request calls the field', async () => {
    const refused = async (body: object) => (await post({ prompt: 'x', ...body })).body as object;
    const [image, noise] = [dataUrl(green), 'data:image/png;base64,aGVsbG8='];
    const by = (param: string, message: RegExp, code = 'invalid_request') => ({
      error: { code, param, message: expect.stringMatching(message) },
    });
    expect(await refused({})).toMatchObject(by('image', /for image but received nothing/));
    expect(await refused({ image: [] })).toMatchObject(by('image', /a list of 0/));
    expect(await refused({ image, images: [image] })).toMatchObject(by('images', /both/));
    expect(await refused({ image: [image, image, image] })).toMatchObject(by('image', /1 or 2 pictures/));
    expect(await refused({ images: [{ file_id: 'file-1' }] })).toMatchObject(by('images', /no file_id/));
    expect(await refused({ image: { image_url: image, detail: 'x' } })).toMatchObject(
      by('image', /an object/),
    );
    expect(await refused({ image, mask: { file_id: 'file-1' } })).toMatchObject(by('mask', /no file_id/));
    expect(await refused({ image, markup: image })).toMatchObject(by('markup', /by a mask/));
    expect(await refused({ image, background: 'transparent' })).toMatchObject(by('background', /opaque/));
    expect(await refused({ image, output_format: 'svg' })).toMatchObject(by('output_format', /png, jpeg/));
    expect(await refused({ image, output_format: 'gif' })).toMatchObject(by('output_format', /png, jpeg/));
    expect(await refused({ image, sede: 1, guidence: 2 })).toMatchObject(by('sede', /sede, guidence$/));
    expect(await refused({ image, model: 'flux' })).toMatchObject(by('model', /flux/, 'model_not_found'));
    expect(await refused({ image: noise })).toMatchObject(by('image', /for image /, 'unsupported_picture'));
    expect(await refused({ images: [image, noise] })).toMatchObject(
      by('images.1', /for images\.1 but/, 'unsupported_picture'),
    );
    expect(await refused({ image: [image, image], reference_image_url: image })).toMatchObject(
      by('reference_image_url', /one reference/),
    );
    expect(api.pipeline.requests).toEqual([]);
    expect(await inputs()).toEqual([]);
  });

  it('should name all that is wrong with the names of a form, files among them', async () => {
    const image = await file(green);
    const edit = (fields: object) => client.images.edit({ image, prompt: 'x', ...own(fields) });
    await expect(edit({ overlay: image, sede: 1 })).rejects.toThrow(/overlay, sede$/);
    await expect(edit({ markup: image })).rejects.toThrow(/for markup but received a file/);
    await expect(edit({ svg: { model: 'x' } })).rejects.toThrow(/vector graphics/);
    await expect(edit({ n: 'two' })).rejects.toThrow(/for n but received "two"/);
    await expect(edit({ prompt: image })).rejects.toThrow(/for prompt but received a file/);
    await expect(edit({ image: [image, image, image] })).rejects.toThrow(/1 or 2 pictures.*a list of 3/);
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should refuse a second picture where nothing can be guided by one', async () => {
    api.pipeline.hasIpAdapter = false;
    const image = [await file(green), await file(red)];
    const failure = client.images.edit({ image, prompt: 'x' });
    await expect(failure).rejects.toMatchObject({ status: 422, code: 'ip_adapter_disabled' });
    expect((await client.images.edit({ image: image[0], prompt: 'x' })).data).toHaveLength(1);
  });

  it('should stream events by names of their own, and an error among them', async () => {
    api.pipeline.work = (_signal, listeners) => {
      for (const step of [1, 2]) {
        const pixels = Buffer.alloc(8 * 8 * 3, step);
        listeners!.onPreview?.({ pixels, width: 8, height: 8, step });
        listeners!.onProgress?.({ phase: 'sampling', step, steps: 2 });
      }
      return Promise.resolve();
    };
    const request = { image: await file(green), prompt: 'x', size: '64x64', stream: true } as const;
    const read = async (fields: object) => {
      const events = [];
      for await (const event of await client.images.edit({ ...request, ...fields })) events.push(event);
      return events;
    };
    const events = await read({ partial_images: 2, ...own({ num_inference_steps: 2 }) });
    expect(events.at(-1)).toMatchObject({ type: 'image_edit.completed', usage: { total_tokens: 0 } });
    expect(events[0]).toMatchObject({ type: 'image_edit.partial_image', partial_image_index: 0 });
    for (const event of events) {
      const fields = { event: event.type, data: JSON.stringify(event) };
      assertEventDescribed(fields, ['/v1/images/edits', 'post']);
    }
    api.pipeline.work = () => Promise.reject(new ServiceError('generation_failed', 'It is black'));
    await expect(read({})).rejects.toMatchObject({ code: 'generation_failed', message: 'It is black' });
    await expect(read({ n: 2 })).rejects.toMatchObject({ status: 400, param: 'n' });
  });

  it('should be the same request under an Idempotency-Key, and another with another picture', async () => {
    const edit = async (...pictures: Buffer[]) => {
      const image = await Promise.all(pictures.map((bytes) => file(bytes)));
      const body = { image, prompt: 'x', ...own({ seed: 1 }) };
      const reply = await client.images.edit(body, { headers: { 'idempotency-key': 'once' } });
      return (reply as unknown as { id: string }).id;
    };
    const id = await edit(green, green);
    expect(await edit(green, green)).toBe(id);
    for (const others of [[red, green], [green, red], [green]])
      await expect(edit(...others)).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });

  it('should keep no place among large bodies, nor its pictures, while its job is drawn', async () => {
    const one = await startApi({}, { pictures: 1, picturesPerCaller: 1, freeBytes: 16, bodyTimeout: 5_000 });
    const held = one.pipeline.hold();
    const send = (prefer: string) =>
      http(one.url)
        .post('/v1/images/edits')
        .set('Prefer', prefer)
        .attach('image', green, 'a.png')
        .attach('image', red, 'b.png')
        .field('prompt', 'x');
    const first = send('wait=300').then(({ status }) => status);
    await held;
    expect((await send('respond-async')).status).toBe(202);
    await one.close();
    expect(await first).toBe(202);
  });
});
