import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { REFERENCE_SIDE } from './pipeline.types';
import { MAX_PICTURE_BYTES, encodePng, toAvatarPng, toReference } from './pixels';

const RED = { r: 200, g: 50, b: 20 };
const still = (width = 300, height = 200): Sharp =>
  sharp({ create: { width, height, channels: 3, background: RED } });
const noise = (width = 300, height = 200): Sharp =>
  sharp({
    create: {
      width,
      height,
      channels: 3,
      background: '#000',
      noise: { type: 'gaussian', mean: 128, sigma: 30 },
    },
  });
/** Left half red, right half blue. */
async function halves(width: number, height: number): Promise<Sharp> {
  const left = await still(width / 2, height)
    .png()
    .toBuffer();
  const blue = sharp({ create: { width, height, channels: 3, background: '#0000ff' } });
  return sharp(
    await blue
      .composite([{ input: left, left: 0, top: 0 }])
      .png()
      .toBuffer(),
  );
}

const pixel = (pixels: Buffer, x: number, y: number) => [
  ...pixels.subarray((y * REFERENCE_SIDE + x) * 3, (y * REFERENCE_SIDE + x) * 3 + 3),
];
const near = (actual: number[], expected: number[], by = 3) =>
  actual.forEach((value, i) => expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(by));
const refused = (sentence: string | RegExp) => ({
  code: 'unsupported_picture',
  message: expect.stringMatching(sentence) as string,
  param: 'user_id',
});

describe('toReference', () => {
  const accepted: [string, () => Promise<Buffer>, number[]][] = [
    ['PNG', () => still().png().toBuffer(), [200, 50, 20]],
    ['JPEG', () => still().jpeg().toBuffer(), [200, 50, 20]],
    ['WebP', () => still().webp().toBuffer(), [200, 50, 20]],
    ['16-bit PNG', () => still().toColourspace('rgb16').png().toBuffer(), [200, 50, 20]],
    ['palette PNG', () => still().png({ palette: true }).toBuffer(), [200, 50, 20]],
    ['grey PNG', () => still().toColourspace('b-w').png().toBuffer(), [107, 107, 107]],
    ['grey JPEG', () => still().toColourspace('b-w').jpeg().toBuffer(), [107, 107, 107]],
  ];
  it.each(accepted)('should decode a %s to 8-bit RGB', async (_name, make, expected) => {
    const pixels = await toReference(await make());
    expect(pixels).toHaveLength(REFERENCE_SIDE * REFERENCE_SIDE * 3);
    near(pixel(pixels, 112, 112), expected);
  });

  it('should bring a CMYK JPEG to RGB', async () => {
    const cmyk = await still().toColourspace('cmyk').jpeg().toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe('cmyk');
    const pixels = await toReference(cmyk);
    expect(pixels).toHaveLength(REFERENCE_SIDE * REFERENCE_SIDE * 3);
    near(pixel(pixels, 112, 112), [200, 50, 20], 25); // inks cannot print this red
  });

  it('should put transparent pixels on white', async () => {
    const clear = sharp({
      create: { width: 64, height: 64, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } },
    });
    near(pixel(await toReference(await clear.png().toBuffer()), 112, 112), [255, 255, 255]);
  });

  it('should turn the picture upright by its EXIF orientation', async () => {
    const turned = (await halves(200, 200)).withMetadata({ orientation: 6 }); // shown turned by 90 degrees
    const pixels = await toReference(await turned.jpeg({ quality: 100 }).toBuffer());
    near(pixel(pixels, 112, 20), [200, 50, 20], 12);
    near(pixel(pixels, 112, 200), [0, 0, 255], 12);
  });

  it('should crop the centre of the shortest edge, as CLIPImageProcessor does', async () => {
    const margins = { left: 224, right: 224, background: '#00ff00' };
    const wide = await sharp(await (await halves(448, 224)).png().toBuffer())
      .extend(margins)
      .png()
      .toBuffer();
    const pixels = await toReference(wide);
    near(pixel(pixels, 0, 100), [200, 50, 20]); // squeezed, this would be a green margin
    near(pixel(pixels, 108, 100), [200, 50, 20]);
    near(pixel(pixels, 116, 100), [0, 0, 255]); // the seam stays in the middle
    near(pixel(pixels, 223, 100), [0, 0, 255]);
  });
});

describe('toAvatarPng', () => {
  it('should shrink to 1024 pixels a side and never enlarge', async () => {
    const large = await toAvatarPng(await still(3000, 1500).jpeg().toBuffer());
    expect(large).toMatchObject({ width: 1024, height: 512 });
    const small = await toAvatarPng(await still(30, 20).webp().toBuffer());
    expect(small).toMatchObject({ width: 30, height: 20 });
    expect(await sharp(small.png).metadata()).toMatchObject({ format: 'png', width: 30, height: 20 });
  });

  it('should drop metadata and keep three 8-bit sRGB channels', async () => {
    const named = still()
      .toColourspace('rgb16')
      .withExif({ IFD0: { Copyright: 'a name' } });
    const { png } = await toAvatarPng(await named.png().toBuffer());
    const metadata = await sharp(png).metadata();
    expect(metadata).toMatchObject({ space: 'srgb', channels: 3, depth: 'uchar' });
    expect(metadata.exif).toBeUndefined();
    expect(png.includes('a name')).toBe(false);
  });

  const strangers: [string, () => Promise<Buffer>][] = [
    ['GIF', () => still().gif().toBuffer()],
    ['TIFF', () => still().tiff().toBuffer()],
    ['AVIF', () => still(64, 64).avif().toBuffer()],
    [
      'SVG',
      () => Promise.resolve(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')),
    ],
    ['text', () => Promise.resolve(Buffer.from('hello'))],
  ];
  it.each(strangers)('should refuse a %s', async (_name, make) => {
    await expect(toAvatarPng(await make(), 'user_id')).rejects.toMatchObject(
      refused('^Expected a PNG, JPEG or WebP picture for user_id but received something else$'),
    );
  });

  const formats: [string, (picture: Sharp) => Sharp][] = [
    ['PNG', (picture) => picture.png()],
    ['JPEG', (picture) => picture.jpeg()],
    ['WebP', (picture) => picture.webp()],
  ];
  it.each(formats)('should refuse a truncated %s', async (_name, as) => {
    const whole = await as(noise()).toBuffer();
    await expect(
      toAvatarPng(whole.subarray(0, Math.floor(whole.length * 0.6)), 'user_id'),
    ).rejects.toMatchObject(refused('damaged or cut'));
  });

  it('should refuse an animated WebP', async () => {
    const frames = Buffer.concat([await still().raw().toBuffer(), await noise().raw().toBuffer()]);
    const animation = await sharp(frames, { raw: { width: 300, height: 400, channels: 3, pageHeight: 200 } })
      .webp({ loop: 0, delay: [100, 100] })
      .toBuffer();
    await expect(toAvatarPng(animation, 'user_id')).rejects.toMatchObject(
      refused('a still picture for user_id but received an animation of 2 frames'),
    );
  });

  it('should refuse a header that claims more pixels than allowed, before it decodes any', async () => {
    const bomb = Buffer.from(await noise().png().toBuffer());
    bomb.writeUInt32BE(30_000, 16);
    bomb.writeUInt32BE(30_000, 20);
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
    await expect(toAvatarPng(bomb, 'user_id')).rejects.toMatchObject(refused('at most 50 megapixels'));
  });

  it('should refuse no bytes and too many', async () => {
    await expect(toAvatarPng(Buffer.alloc(0), 'user_id')).rejects.toMatchObject(refused('no bytes'));
    await expect(toAvatarPng(Buffer.alloc(MAX_PICTURE_BYTES + 1), 'user_id')).rejects.toMatchObject(
      refused('at most 20 MiB'),
    );
  });
});

describe('encodePng', () => {
  it('should keep every pixel', async () => {
    const pixels = await noise(64, 128).raw().toBuffer();
    const png = await encodePng(pixels, 64, 128);
    const back = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect(back.info).toMatchObject({ width: 64, height: 128, channels: 3 });
    expect(back.data.equals(pixels)).toBe(true);
  });
});
