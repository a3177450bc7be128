import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { toEdit } from './translation';

const flat = (background: string, width = 128, height = 64) =>
  sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();

describe(toEdit.name, () => {
  let api: Api;
  let red: string;
  const edit = (body: object) => http(api.url).post('/sdapi/v1/img2img').send(body);

  beforeEach(async () => {
    api = await startApi();
    red = (await flat('#ff0000')).toString('base64');
  });
  afterEach(() => api.close());

  it.each([
    ['base64', (base64: string) => base64],
    ['base64 in lines', (base64: string) => base64.replace(/.{76}/g, '$&\n')],
    ['a data URL', (base64: string) => `data:image/png;base64,${base64}`],
  ])('should begin from a picture in %s', async (_form, write) => {
    const { body } = await edit({
      ...{ prompt: 'x', init_images: [write(red)], denoising_strength: 0.4, width: 64, height: 64 },
      ...{ resize_mode: 0, include_init_images: false, mask_blur: 4, seed: -1 },
    }).expect(200);
    const [{ image, width, height }] = api.pipeline.requests;
    expect({ width, height, strength: image?.strength }).toEqual({ width: 64, height: 64, strength: 0.4 });
    expect([...image!.pixels.subarray(0, 3)]).toEqual([255, 0, 0]);
    const { images, parameters } = body as { images: string[]; parameters: object };
    expect(images).toHaveLength(1);
    expect(JSON.stringify(parameters)).not.toContain(red.slice(0, 20));
  });

  it('should keep its proportions where no side is given, and change it as that server does', async () => {
    await edit({ prompt: 'x', init_images: [red] }).expect(200);
    const [{ image, width, height }] = api.pipeline.requests;
    expect(width / height).toBe(2);
    expect(image?.strength).toBe(0.75);
  });

  it.each([
    ['white', '#000000', '#ffffff'],
    ['a stroke on a clear canvas', '#ffffff00', '#000000ff'],
  ])(
    'should paint what is %s in the mask, or by inpainting_mask_invert the rest',
    async (_, rest, stroke) => {
      const canvas = { width: 128, height: 64, channels: 4 as const, background: rest };
      const left = await sharp({ create: { ...canvas, width: 64, background: stroke } })
        .png()
        .toBuffer();
      const mask = sharp({ create: canvas }).composite([{ input: left, left: 0, top: 0 }]);
      const body = {
        ...{ prompt: 'x', init_images: [red], width: 128, height: 64 },
        mask: (await mask.png().toBuffer()).toString('base64'),
      };
      await edit({ ...body, inpainting_mask_invert: 0 })
        .set('Idempotency-Key', 'one')
        .expect(200);
      await edit({ ...body, inpainting_mask_invert: 1 }).expect(200);
      const painted = api.pipeline.requests.map(({ mask }) => [mask![0], mask![127]]);
      expect(painted).toEqual([
        [255, 0],
        [0, 255],
      ]);
      const other = await edit({ ...body, inpainting_mask_invert: true }).set('Idempotency-Key', 'one');
      expect(other.body).toMatchObject({ error: { code: 'idempotency_mismatch' } });
    },
  );

  it.each([
    [{}, 400, 'init_images'],
    [{ init_images: [] }, 400, 'init_images'],
    [{ init_images: ['a', 'b'] }, 400, 'init_images'],
    [{ init_images: ['not a picture'] }, 422, 'init_images'],
    [{ init_images: ['?'] }, 400, 'init_images'],
    [{ init_images: ['a'], inpainting_mask_invert: 2 }, 400, 'inpainting_mask_invert'],
  ])('should refuse %p', async (body, status, param) => {
    const reply = await edit({ prompt: 'x', ...body });
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status,
      body: { error: { param } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should take pictures far larger than other bodies', async () => {
    const noise = {
      create: { width: 512, height: 512, channels: 3, noise: { type: 'gaussian', mean: 128, sigma: 60 } },
    };
    const large = (
      await sharp(noise as object)
        .png()
        .toBuffer()
    ).toString('base64');
    expect(large.length).toBeGreaterThan(500_000);
    await edit({ prompt: 'x', init_images: [large] }).expect(200);
  });
});
