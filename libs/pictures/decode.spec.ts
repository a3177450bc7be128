import { crc32, deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { Turns } from '@app/lifecycle';
import { REFERENCE_SIDE } from '@app/models/family';
import { until } from '../../test/support/eventually';
import {
  flatPng,
  webpOfTables,
  withSegments,
  jpegSegment,
  partsOf,
  pngChunk,
  withTexts,
} from '../../test/support/picture.files';
import { MAX_PICTURE_BYTES, copyToReference, toAvatarPng, toReference } from './decode';
import { encodePng } from './encode';

const RED = { r: 200, g: 50, b: 20 };
const still = (width = 300, height = 200): Sharp =>
  sharp({ create: { width, height, channels: 3, background: RED } });
const veiled = (): Sharp => still().ensureAlpha(0.5);
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
    ['interlaced PNG', () => still().png({ progressive: true }).toBuffer(), [200, 50, 20]],
    ['progressive JPEG', () => still().jpeg({ progressive: true }).toBuffer(), [200, 50, 20]],
    ['lossless WebP', () => still().webp({ lossless: true }).toBuffer(), [200, 50, 20]],
    ['half transparent WebP', () => still().ensureAlpha(0.5).webp().toBuffer(), [228, 153, 138]],
    ['half transparent 16-bit PNG', () => veiled().toColourspace('rgb16').png().toBuffer(), [228, 153, 138]],
    ['half transparent palette PNG', () => veiled().png({ palette: true }).toBuffer(), [228, 153, 138]],
    ['half transparent grey PNG', () => veiled().toColourspace('b-w').png().toBuffer(), [181, 181, 181]],
    ['picture in Display P3', () => still().withIccProfile('p3').png().toBuffer(), [200, 50, 20]],
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

  /** Where the red of the stored picture's upper left quarter is shown, by the EXIF orientation. */
  const corners: [orientation: number, x: number, y: number][] = [
    [1, 0, 0],
    [2, 1, 0],
    [3, 1, 1],
    [4, 0, 1],
    [5, 0, 0],
    [6, 1, 0],
    [7, 1, 1],
    [8, 0, 1],
  ];
  it.each(corners)('should turn the picture upright by EXIF orientation %i', async (orientation, x, y) => {
    const red = await still(100, 100).png().toBuffer();
    const quarter = await sharp({ create: { width: 200, height: 200, channels: 3, background: '#0000ff' } })
      .composite([{ input: red, left: 0, top: 0 }])
      .png()
      .toBuffer();
    const turned = sharp(quarter).withMetadata({ orientation });
    const files = [turned.clone().jpeg({ quality: 100 }), turned.clone().png(), turned.clone().webp()];
    for (const file of files) {
      const pixels = await toReference(await file.toBuffer());
      for (const [left, top] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ]) {
        const expected = left === x && top === y ? [200, 50, 20] : [0, 0, 255];
        near(pixel(pixels, 20 + left * 180, 20 + top * 180), expected, 12);
      }
    }
  });

  it('should bring wide colours to sRGB, not only take their numbers', async () => {
    const raw = Buffer.alloc(64 * 64 * 3, Buffer.from([200, 50, 20]));
    const wide = await sharp(raw, { raw: { width: 64, height: 64, channels: 3 } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const stored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer();
    near([...stored.subarray(0, 3)], [185, 61, 34], 6); // the same red in other numbers
    near(pixel(await toReference(wide), 112, 112), [200, 50, 20]);
  });

  /** The named profile of libvips; `space` claims in its head that it is one of another colour space. */
  const profile = async (name: string, space?: string) => {
    const { icc } = await sharp(await still(8, 8).withIccProfile(name).jpeg().toBuffer()).metadata();
    const bytes = Buffer.from(icc!);
    if (space) bytes.write(space, 16, 'latin1');
    return bytes;
  };
  const withProfile = (png: Buffer, icc: Buffer) => {
    const [start, head, ...rest] = partsOf(png);
    const chunk = pngChunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), deflateSync(icc)]));
    return Buffer.concat([start, head, chunk, ...rest.filter((part) => !part.includes('iCCP'))]);
  };

  it('should show 16-bit pictures with a profile as those of 8 bits', async () => {
    for (const name of ['srgb', 'p3']) {
      const icc = await profile(name);
      for (const picture of [still(), veiled()]) {
        const eight = withProfile(await picture.clone().png().toBuffer(), icc);
        const sixteen = withProfile(await picture.clone().toColourspace('rgb16').png().toBuffer(), icc);
        const shown = pixel(await toReference(eight), 112, 112);
        near(pixel(await toReference(sixteen), 112, 112), shown, 1);
      }
    }
  });

  it.each(['CMYK', 'GRAY', 'Lab ', 'RGB '])(
    'should ignore a profile of %s where that is another colour space, and a broken one',
    async (space) => {
      const icc = space === 'RGB ' ? (await profile('p3')).subarray(0, 200) : await profile('p3', space);
      const segment = jpegSegment(0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01'), icc]));
      for (const plain of [still(), still().toColourspace('cmyk'), still().toColourspace('rgb16')]) {
        const jpeg = await plain.clone().jpeg({ quality: 100 }).toBuffer();
        const shown = pixel(await toReference(jpeg), 112, 112);
        expect(pixel(await toReference(withSegments(jpeg, segment, 1)), 112, 112)).toEqual(shown);
        if ((await sharp(jpeg).metadata()).space === 'cmyk') continue;
        const png = await plain.clone().png().toBuffer();
        near(pixel(await toReference(withProfile(png, icc)), 112, 112), [200, 50, 20]);
      }
    },
  );

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
      .withExif({ IFD0: { Copyright: 'a name' }, IFD3: { GPSLatitude: '52/1 30/1 0/1' } })
      .withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>a name</a></x:xmpmeta>')
      .withIccProfile('p3');
    for (const file of [named.clone().png(), named.clone().jpeg(), named.clone().webp()]) {
      const { png } = await toAvatarPng(await file.toBuffer());
      const metadata = await sharp(png).metadata();
      expect(metadata).toMatchObject({ space: 'srgb', channels: 3, depth: 'uchar' });
      for (const kind of ['exif', 'xmp', 'icc', 'iptc', 'comments'])
        expect(metadata).not.toHaveProperty(kind);
      expect(png.includes('a name')).toBe(false);
    }
  });

  const aPng = () => still().png().toBuffer();
  const bytes = (text: string) => () => Promise.resolve(Buffer.from(text, 'latin1'));
  const box = (brands: string) => bytes(`\0\0\0\x20ftyp${brands}\0\0\0\x08meta`);
  const INSTEAD = ': convert it to JPEG or PNG';
  const strangers: [string, () => Promise<Buffer>, string][] = [
    ['GIF', () => still().gif().toBuffer(), `GIF${INSTEAD}`],
    ['TIFF', () => still().tiff().toBuffer(), `TIFF${INSTEAD}`],
    ['big-endian TIFF', bytes('MM\0*\0\0\0\x08'), `TIFF${INSTEAD}`],
    ['AVIF', () => still(64, 64).avif().toBuffer(), `AVIF${INSTEAD}`],
    ['AVIF of a general brand', box('mif1\0\0\0\0mif1avif'), `AVIF${INSTEAD}`],
    ['HEIC', box('heic\0\0\0\0mif1heic'), `HEIC${INSTEAD}`],
    ['HEIC of a general brand', box('mif1\0\0\0\0mif1heic'), `HEIC${INSTEAD}`],
    ['MP4', box('isom\0\0\x02\0isommp41'), 'a video'],
    ['BMP', bytes('BM\x36\0\0\0'), `BMP${INSTEAD}`],
    ['JPEG XL', bytes('\xff\x0a\xfa'), `JPEG XL${INSTEAD}`],
    ['JPEG XL file', bytes('\0\0\0\x0cJXL \r\n'), `JPEG XL${INSTEAD}`],
    ['JPEG 2000', bytes('\0\0\0\x0cjP  \r\n'), `JPEG 2000${INSTEAD}`],
    ['SVG', bytes('<svg xmlns="http://www.w3.org/2000/svg"/>'), `SVG${INSTEAD}`],
    ['SVG behind a head', bytes('\n<?xml version="1.0"?>\n<svg/>'), `SVG${INSTEAD}`],
    ['web page', bytes('<!DOCTYPE HTML>\n<html><svg></html>'), 'a web page'],
    ['PDF', bytes('%PDF-1.4\n%%EOF'), 'a PDF'],
    ['text', bytes('hello'), 'something else'],
    ['XML', bytes('<?xml version="1.0"?><feed/>'), 'something else'],
    [
      'GIF that a PNG follows',
      async () => Buffer.concat([await still().gif().toBuffer(), await aPng()]),
      'GIF',
    ],
    [
      'TIFF that a PNG follows',
      async () => Buffer.concat([await still().tiff().toBuffer(), await aPng()]),
      'TIFF',
    ],
  ];
  it.each(strangers)('should refuse a %s by its name', async (_name, make, received) => {
    await expect(toAvatarPng(await make(), 'user_id')).rejects.toMatchObject(
      refused(`^Expected a PNG, JPEG or WebP picture for user_id but received ${received}`),
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

  it.each([{}, { progressive: true }])('should take a JPEG %p that lacks only its end', async (options) => {
    const whole = await noise().jpeg(options).toBuffer();
    const { png } = await toAvatarPng(whole);
    for (const missing of [1, 2]) {
      expect((await toAvatarPng(whole.subarray(0, -missing))).png.equals(png)).toBe(true);
    }
    for (const cut of [0.2, 0.5, 0.9]) {
      const bytes = whole.subarray(0, Math.floor(whole.length * cut));
      await expect(toAvatarPng(bytes, 'user_id')).rejects.toMatchObject(refused('damaged or cut'));
    }
  });

  it('should take the first frame of an animated WebP, and so of an animated PNG', async () => {
    const frames = Buffer.concat([await still().raw().toBuffer(), await noise().raw().toBuffer()]);
    const pages = sharp(frames, { raw: { width: 300, height: 400, channels: 3, pageHeight: 200 } });
    const [start, head, ...rest] = partsOf(await aPng());
    const control = pngChunk('acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]));
    const files = [
      await pages
        .clone()
        .webp({ lossless: true, delay: [100, 100] })
        .toBuffer(),
      await pages
        .clone()
        .ensureAlpha()
        .webp({ lossless: true, delay: [100, 100] })
        .toBuffer(),
      Buffer.concat([start, head, control, ...rest]),
    ];
    for (const file of files) {
      const { png, ...size } = await toAvatarPng(file);
      expect(size).toEqual({ width: 300, height: 200 });
      const { channels } = await sharp(png).stats();
      expect(channels.map(({ min, max }) => [min, max])).toEqual(
        [200, 50, 20].map((value) => [value, value]),
      );
    }
  });

  it('should take what phones of 50 and 64 megapixels make', async () => {
    for (const [width, height] of [
      [8160, 6144],
      [9280, 6944],
    ]) {
      const photo = await still(width, height).jpeg().toBuffer();
      expect((await toAvatarPng(photo)).width).toBe(1024);
    }
  });

  it('should refuse a header that claims more pixels than allowed, before it decodes any', async () => {
    const bomb = Buffer.from(await noise().png().toBuffer());
    bomb.writeUInt32BE(30_000, 16);
    bomb.writeUInt32BE(30_000, 20);
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
    await expect(toAvatarPng(bomb, 'user_id')).rejects.toMatchObject(
      refused('^Expected at most 65 megapixels for user_id but received 30000x30000$'),
    );
  });

  it('should not unpack what it does not need', async () => {
    const before = process.memoryUsage.rss();
    // 1.6 GB once libpng has unpacked them, and 3.7 GB in libvips' hands.
    const texts = await toAvatarPng(withTexts(await noise(64, 64).png().toBuffer(), 100));
    const empty = withSegments(await noise(64, 64).jpeg().toBuffer(), jpegSegment(0xe1), 60_000);
    expect(texts).toMatchObject({ width: 64, height: 64 });
    expect(await toAvatarPng(empty)).toMatchObject({ width: 64, height: 64 });
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(150);
  });

  it.each(['png', 'jpeg'] as const)('should refuse a thin %s, which would grow without bound', async (as) => {
    const thin = (width: number, height: number) =>
      still(width, height).withMetadata({ orientation: 6 }).toFormat(as).toBuffer();
    const sentence = /proportion of at most 1 to 32 for user_id but received (1x65000|65000x1)$/;
    for (const file of [await thin(1, 65_000), await thin(65_000, 1)]) {
      await expect(toReference(file, 'user_id')).rejects.toMatchObject(refused(sentence));
      await expect(toAvatarPng(file, 'user_id')).rejects.toMatchObject(refused(sentence));
    }
    expect(await toReference(await thin(1, 32))).toHaveLength(REFERENCE_SIDE ** 2 * 3);
  });

  it('should refuse no bytes and too many', async () => {
    await expect(toAvatarPng(Buffer.alloc(0), 'user_id')).rejects.toMatchObject(refused('no bytes'));
    await expect(toAvatarPng(Buffer.alloc(MAX_PICTURE_BYTES + 1), 'user_id')).rejects.toMatchObject(
      refused('at most 20 MiB'),
    );
  });
});

/** Counts what sharp draws and holds the first of it until `release`: then the line stands still for as long as it takes. */
let release = () => {};
function holdFirst() {
  const prototype = sharp.prototype as { toBuffer: (this: Sharp, ...options: unknown[]) => Promise<unknown> };
  const drawNow = prototype.toBuffer;
  const seen = { begun: 0, running: 0, most: 0 };
  let reached = () => {};
  const run = jest.spyOn(Turns.prototype, 'run');
  /** Resolves when so many have come to a line, be it that they wait there. */
  const inLine = (count: number) => until(() => run.mock.calls.length === count);
  const released = new Promise<void>((resolve) => (release = resolve));
  const held = new Promise<void>((resolve) => (reached = resolve));
  jest.spyOn(prototype, 'toBuffer').mockImplementation(async function (this: Sharp, ...options) {
    seen.most = Math.max(seen.most, ++seen.running);
    if (++seen.begun === 1) {
      reached();
      await released;
    }
    return drawNow.apply(this, options).finally(() => seen.running--);
  });
  return { seen, held, inLine };
}

describe('A burst of pictures', () => {
  const picture = flatPng(400, { depth: 16, colour: 6, interlace: 1 });

  afterEach(() => {
    release();
    jest.restoreAllMocks();
  });

  it('should be decoded one after the other, and copies of jobs without waiting', async () => {
    const copy = await encodePng(Buffer.alloc(REFERENCE_SIDE ** 2 * 3, 7), REFERENCE_SIDE, REFERENCE_SIDE);
    const { seen, held } = holdFirst();
    const burst = Array.from({ length: 12 }, (_, i) => (i % 2 ? toReference(picture) : toAvatarPng(picture)));
    await held;
    expect((await copyToReference(copy))[0]).toBe(7);
    expect(seen).toEqual({ begun: 2, running: 1, most: 2 }); // the copy, and of the twelve only the first
    seen.most = 0;
    release();
    await Promise.all(burst);
    expect(seen).toEqual({ begun: 13, running: 0, most: 1 });
  });

  it('should let whoever leaves the line go at once, and serve the others in turn', async () => {
    const { seen, held, inLine } = holdFirst();
    const client = new AbortController();
    const served: string[] = [];
    const serve = (name: string) => toAvatarPng(picture).then(() => served.push(name));
    const first = serve('first');
    await held;
    const second = serve('second');
    await inLine(2);
    const left = toAvatarPng(picture, undefined, { caller: '', signal: client.signal });
    await inLine(3);
    const next = serve('next');
    await inLine(4);
    client.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    expect(seen).toEqual({ begun: 1, running: 1, most: 1 }); // the first is still at it
    release();
    await Promise.all([first, second, next]);
    expect(served).toEqual(['first', 'second', 'next']);
    expect(seen.begun).toBe(3);
  });

  it('should let a caller in after the picture that is decoded, however many another one brought', async () => {
    const { held, inLine } = holdFirst();
    const served: string[] = [];
    const serve = (caller: string, decode: typeof toAvatarPng | typeof toReference) =>
      decode(picture, undefined, { caller }).then(() => served.push(caller));
    const many = Array.from({ length: 12 }, () => serve('many', toAvatarPng));
    await held;
    await inLine(12);
    const others = [serve('one', toReference)];
    await inLine(13);
    others.push(serve('another', toAvatarPng));
    await inLine(14);
    release();
    await Promise.all([...many, ...others]);
    expect(served.slice(0, 4)).toEqual(['many', 'one', 'another', 'many']);
  });

  const heavies: [string, () => Promise<Buffer>][] = [
    ['a WebP', () => still().webp().toBuffer()],
    ['a progressive JPEG', () => still(700, 600).jpeg({ progressive: true }).toBuffer()],
    ['an interlaced PNG', () => still(700, 600).png({ progressive: true }).toBuffer()],
    ['a JPEG of 17 megapixels', () => still(4200, 4000).jpeg().toBuffer()],
    ['a 16-bit PNG of 9 megapixels', () => Promise.resolve(flatPng(3000, { depth: 16 }))],
    [
      'a JPEG with its size behind 256 KiB',
      async () =>
        withSegments(
          await still().jpeg().toBuffer(),
          jpegSegment(0xe2, Buffer.from(`ICC_PROFILE\0${'x'.repeat(60_000)}`)),
          5,
        ),
    ],
  ];
  it.each(heavies)(
    'should let %s wait for another heavy picture, and nothing that is light',
    async (_name, make) => {
      const heavy = await make();
      const photo = await still(4600, 3400).jpeg().toBuffer();
      const stored = await noise(1024, 1024).png().toBuffer();
      const avatar = await noise(512, 512).ensureAlpha().png({ progressive: true }).toBuffer();
      const { held, inLine } = holdFirst();
      const served: string[] = [];
      const first = toAvatarPng(picture, undefined, { caller: 'a' });
      await held;
      const second = toAvatarPng(heavy, undefined, { caller: 'b' }).then(() => served.push('heavy'));
      await inLine(2);
      await toAvatarPng(photo, undefined, { caller: 'b' });
      await toReference(stored, undefined, { caller: 'b' });
      await toReference(avatar, undefined, { caller: 'b' });
      await expect(toAvatarPng(await still().gif().toBuffer())).rejects.toMatchObject({
        code: 'unsupported_picture',
      });
      expect(served).toEqual([]);
      release();
      await Promise.all([first, second]);
      expect(served).toEqual(['heavy']);
    },
  );

  it('should go on after pictures that were refused', async () => {
    const broken = picture.subarray(0, picture.length - 100);
    const burst = Array.from({ length: 6 }, () => toAvatarPng(broken, 'user_id'));
    const all = burst.map((one) => expect(one).rejects.toMatchObject(refused('damaged or cut')));
    await Promise.all(all);
    expect(await toAvatarPng(picture)).toMatchObject({ width: 400 });
  });

  it('should decode a WebP of many Huffman tables', async () => {
    expect(await toAvatarPng(webpOfTables(256))).toMatchObject({ width: 256 });
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
