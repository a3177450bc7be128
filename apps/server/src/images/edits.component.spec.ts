import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import sharp from 'sharp';
import { copiesIn } from '../../../../test/support/inputs';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';

const picture = (width: number, height: number, background: string) =>
  sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
const dataUrl = (png: Buffer) => `data:image/png;base64,${png.toString('base64')}`;

describe('A picture to begin from', () => {
  let api: Api;
  let green: Buffer;
  let outside: Server;
  let address: string;

  beforeAll(async () => {
    green = await picture(300, 200, '#00ff00');
    outside = createServer((_request, response) => response.end(green)).listen(0, '127.0.0.1');
    await once(outside, 'listening');
    address = `http://127.0.0.1:${(outside.address() as AddressInfo).port}/green.png`;
  });
  afterAll(() => outside.close());
  beforeEach(async () => {
    api = await startApi({ REFERENCE_URL_ALLOW: '127.0.0.1' });
  });
  afterEach(() => api.close());

  const post = (body: object) =>
    http(api.url)
      .post('/v1/images/generations')
      .send({ prompt: 'a fox', ...body });
  const refused = async (body: object) => {
    const reply = await post(body);
    expect(reply.status).toBeGreaterThanOrEqual(400);
    return (reply.body as { error: { code: string; param: string; message: string } }).error;
  };
  const inputs = () => copiesIn(api.storage);

  it.each(['the body', 'an address'])('should come from %s, and be given to the engine', async (from) => {
    const image = from === 'the body' ? dataUrl(green) : address;
    await post({ image, strength: 0.4, size: '128x64' }).expect(200);
    const [request] = api.pipeline.requests;
    expect(request).toMatchObject({ width: 128, height: 64, image: { strength: 0.4 } });
    expect(request.image!.pixels).toHaveLength(128 * 64 * 3);
    expect([...request.image!.pixels.subarray(0, 3)]).toEqual([0, 255, 0]);
    expect(request).not.toHaveProperty('mask');
    // The copy was for the job alone.
    expect(await inputs()).toEqual([]);
  });

  it('should decide the proportions where no size is given, and change by what is usual', async () => {
    await post({ image: dataUrl(green) }).expect(200);
    // Of the 16,384 pixels of the demo's default.
    expect(api.pipeline.requests[0]).toMatchObject({ width: 128, height: 64, image: { strength: 0.75 } });
    await post({ image: dataUrl(await picture(64, 256, 'red')) }).expect(200);
    expect(api.pipeline.requests[1]).toMatchObject({ width: 64, height: 256 });
  });

  it('should be painted anew where the mask says, altogether if no strength does', async () => {
    const mask = await sharp(await picture(300, 200, 'black'))
      .composite([{ input: await picture(150, 200, 'white'), left: 150, top: 0 }])
      .png()
      .toBuffer();
    await post({ image: dataUrl(green), mask: dataUrl(mask), size: '128x64', n: 2 }).expect(200);
    const [request] = api.pipeline.requests;
    expect(request).toMatchObject({ count: 2, image: { strength: 1 } });
    expect([request.mask![0], request.mask![127]]).toEqual([0, 255]);
    expect(request.mask).toHaveLength(128 * 64);
    expect(await inputs()).toEqual([]);
  });

  it.each([
    ['another name of JPEG', 'data:image/jpg;base64,', (text: string) => text],
    ['no type of a picture', 'data:application/octet-stream;base64,', (text: string) => text],
    ['parameters', 'data:image/png;charset=utf-8;base64,', (text: string) => text],
    ['none', 'data:;base64,', (text: string) => text],
    ['lines', 'data:image/png;base64,', (text: string) => text.replace(/.{76}/g, '$&\r\n') + '\n'],
  ])('should be what its bytes are, though its data URL has %s', async (_, label, write) => {
    await post({ image: label + write(green.toString('base64')), size: '128x64' }).expect(200);
    expect([...api.pipeline.requests[0].image!.pixels.subarray(0, 3)]).toEqual([0, 255, 0]);
  });

  it('should be refused in no time where it is none, however long', async () => {
    const begin = performance.now();
    for (const text of [
      `data:${';base64'.repeat(200_000)}`,
      `data:;base64,${' '.repeat(1e6)}=${' '.repeat(1e6)}!`,
    ])
      expect(await refused({ image: text })).toMatchObject({ code: 'invalid_request', param: 'image' });
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  it('should wait as a copy, which a job that is not finished has', async () => {
    const held = api.pipeline.hold();
    const white = dataUrl(await picture(300, 200, 'white'));
    const reply = await http(api.url)
      .post('/v1/images/generations')
      .set('Prefer', 'respond-async')
      .send({ prompt: 'a fox', image: dataUrl(green), mask: white });
    await held;
    const { id } = reply.body as { id: string };
    expect(await inputs()).toEqual([`inputs/${id}-image.png`, `inputs/${id}-mask.png`]);
    await http(api.url).delete(`/v1/jobs/${id}`).expect(200);
    expect(await inputs()).toEqual([]);
  });

  it('should be one of several megabytes, and of the same request under an Idempotency-Key', async () => {
    const noise = Buffer.from(Array.from({ length: 900 * 900 * 3 }, (_, i) => (i * i * 7919) % 251));
    const large = await sharp(noise, { raw: { width: 900, height: 900, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer();
    expect(large.length).toBeGreaterThan(2_000_000);
    const once = (image: Buffer) => post({ image: dataUrl(image), seed: 1 }).set('Idempotency-Key', 'once');
    const { id } = (await once(large).expect(200)).body as { id: string };
    expect((await once(large).expect(200)).body).toMatchObject({ id });
    expect((await once(green)).body).toMatchObject({ error: { code: 'idempotency_mismatch' } });
  });

  it('should keep no place among large bodies once it is copied, however long its job takes', async () => {
    const one = await startApi({}, { pictures: 1, picturesPerCaller: 1, freeBytes: 16, bodyTimeout: 5_000 });
    const held = one.pipeline.hold();
    const send = (prefer: string) =>
      http(one.url)
        .post('/v1/images/generations')
        .set('Prefer', prefer)
        .send({ prompt: 'a fox', image: dataUrl(green) });
    const first = send('wait=300').then(({ status }) => status);
    await held;
    expect((await send('respond-async')).status).toBe(202);
    await one.close();
    expect(await first).toBe(202);
  });

  it('should be refused by the field that it is not', async () => {
    const mask = dataUrl(green);
    expect(await refused({ mask })).toMatchObject({ code: 'invalid_request', param: 'image' });
    expect(await refused({ image: 'ftp://a/b' })).toMatchObject({ code: 'invalid_request', param: 'image' });
    expect(await refused({ image: 'data:image/png;base64,aGVsbG8=' })).toMatchObject({
      ...{ code: 'unsupported_picture', param: 'image' },
    });
    expect(await refused({ image: 'http://127.0.0.1:9/' })).toMatchObject({
      param: 'image',
      message: expect.stringContaining('for image but received') as string,
    });
    const dark = dataUrl(await picture(300, 200, 'black'));
    expect(await refused({ image: dataUrl(green), mask: dark })).toMatchObject({
      ...{ code: 'unsupported_picture', param: 'mask' },
    });
    expect(await refused({ image: dataUrl(green), strength: 1.1 })).toMatchObject({ param: 'strength' });
    expect(api.pipeline.requests).toEqual([]);
    expect(await inputs()).toEqual([]);
  });
});
