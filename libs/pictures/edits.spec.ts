import sharp from 'sharp';
import { keepUnmasked, toMask, toStart, type MaskRule } from './edits';

const turn = { caller: '', signal: new AbortController().signal };
const png = (pixels: Buffer, width: number, channels: 1 | 2 | 3 | 4) =>
  sharp(pixels, { raw: { width, height: pixels.length / channels / width, channels } })
    .png()
    .toBuffer();
const filled = (width: number, height: number, background: string) =>
  sharp({ create: { width, height, channels: 4, background } })
    .png()
    .toBuffer();
const start = { pixels: Buffer.alloc(0), size: { width: 64, height: 64 }, own: { width: 64, height: 64 } };

describe(toStart.name, () => {
  it('should leave the pixels of a picture of the right size as they are', async () => {
    const pixels = Buffer.from(Array.from({ length: 64 * 128 * 3 }, (_, i) => (i * 7919) % 256));
    const size = { width: 64, height: 128 };
    const made = await toStart(await png(pixels, 64, 3), 'image', turn, () => size);
    expect(made).toMatchObject({ size, own: size });
    expect(made.pixels.equals(pixels)).toBe(true);
  });

  it('should take the middle of another shape, upright, and ask for the size by its own', async () => {
    // Three bands, side by side: red, green, blue.
    const bands = Buffer.concat(
      Array.from({ length: 100 * 300 }, (_, i) =>
        Buffer.from([0, 1, 2].map((band) => (band === Math.floor((i % 300) / 100) ? 255 : 0))),
      ),
    );
    const lying = await sharp(await png(bands, 300, 3))
      .rotate(90)
      .withMetadata({ orientation: 8 })
      .png()
      .toBuffer();
    const asked: object[] = [];
    const { pixels, own } = await toStart(lying, 'image', turn, (size) => {
      asked.push(size);
      return { width: 64, height: 64 };
    });
    expect([own, ...asked]).toEqual(Array(2).fill({ width: 300, height: 100 }));
    // At the edges the neighbours shine through a little.
    for (const at of [8, 55, 64 * 63 + 8, 64 * 63 + 55])
      expect([at, ...pixels.subarray(3 * at, 3 * at + 3)]).toEqual([at, 0, 255, 0]);
  });

  it('should lay what is transparent on white, and refuse what is no picture', async () => {
    const clear = await filled(64, 64, '#ff000000');
    const { pixels } = await toStart(clear, 'image', turn, (own) => own);
    expect([...pixels.subarray(0, 3)]).toEqual([255, 255, 255]);
    await expect(toStart(Buffer.from('x'), 'image', turn, (own) => own)).rejects.toMatchObject({
      ...{ code: 'unsupported_picture', param: 'image' },
    });
  });
});

describe(toMask.name, () => {
  const halves = (left: readonly number[], right: readonly number[]) =>
    png(
      Buffer.concat(Array.from({ length: 64 * 64 }, (_, i) => Buffer.from(i % 64 < 32 ? left : right))),
      64,
      left.length as 1 | 2 | 3 | 4,
    );
  const read = async (mask: Buffer, rule?: MaskRule) => {
    const bytes = await toMask(mask, 'mask', turn, start, rule);
    expect(bytes).toHaveLength(64 * 64);
    return [bytes[0], bytes[63]];
  };

  it.each([
    ['what is white', [0, 0, 0], [255, 255, 255]],
    ['what is white, of grey ones', [0], [255]],
    ['what is bright', [100, 100, 100], [180, 180, 180]],
    ['what is transparent', [0, 0, 0, 255], [0, 0, 0, 0]],
    ['what is transparent, though the rest is white', [255, 255, 255, 255], [255, 255, 255, 0]],
    ['what is transparent, of grey ones', [255, 255], [255, 0]],
    ['what is white where nothing is transparent', [0, 0, 0, 255], [255, 255, 255, 255]],
  ])('should paint anew %s', async (_, kept, anew) => {
    expect(await read(await halves(kept, anew))).toEqual([0, 255]);
    expect(await read(await halves(anew, kept))).toEqual([255, 0]);
  });

  it.each([
    ['what is opaque', [0, 0, 0, 128], [0, 0, 0, 129]],
    ['what is opaque, though the rest is white', [255, 255, 255, 0], [0, 0, 0, 255]],
    ['what is white where nothing is transparent', [0, 0, 0, 255], [255, 255, 255, 255]],
    ['what is white', [0, 0, 0], [255, 255, 255]],
  ])('should paint anew %s where a route says so, or the other part', async (_, kept, anew) => {
    const rule = { opaque: true, inverted: false };
    expect(await read(await halves(kept, anew), rule)).toEqual([0, 255]);
    expect(await read(await halves(kept, anew), { ...rule, inverted: true })).toEqual([255, 0]);
  });

  it('should be as large as the picture, whatever its own size is, and of its proportions', async () => {
    const large = await sharp(await halves([0, 0, 0], [255, 255, 255]))
      .resize(640, 640, { kernel: 'nearest' })
      .png()
      .toBuffer();
    expect(await read(large)).toEqual([0, 255]);
    await expect(read(await filled(128, 64, 'white'))).rejects.toMatchObject({
      ...{ code: 'unsupported_picture', param: 'mask' },
      message: 'Expected the proportions of image, 64x64, for mask but received 128x64',
    });
  });

  it.each([
    ['transparent or white', 'black', undefined],
    ['opaque or white', 'transparent', { opaque: true, inverted: false }],
    ['transparent or black', 'white', { opaque: true, inverted: true }],
  ])('should refuse one that is nowhere %s', async (wanted, background, rule) => {
    await expect(read(await filled(64, 64, background), rule)).rejects.toMatchObject({
      message: `Expected a mask that is ${wanted} somewhere for mask but received one that is neither`,
    });
  });
});

describe(keepUnmasked.name, () => {
  it('should put the picture back where the mask keeps it, in each of a batch', () => {
    const drawn = Buffer.from([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    keepUnmasked(drawn, Buffer.from([9, 8, 7, 6, 5, 4]), Buffer.from([0, 255]));
    expect([...drawn]).toEqual([9, 8, 7, 2, 2, 2, 9, 8, 7, 4, 4, 4]);
  });
});
