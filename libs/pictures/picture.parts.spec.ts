import sharp from 'sharp';
import {
  jpegSegment,
  partsOf,
  pngChunk,
  webp,
  webpChunk,
  withScans,
  withSegments,
  withTexts,
} from '../../test/support/picture.files';
import { drawnParts, PictureRefusal } from './picture.parts';

const still = sharp({ create: { width: 64, height: 48, channels: 4, background: '#c8321480' } });
/** Without the density that sharp notes. */
const png = async () =>
  Buffer.concat(partsOf(await still.clone().png().toBuffer()).filter((part) => !part.includes('pHYs')));
const jpeg = () => still.clone().jpeg().toBuffer();
const webpOf = (options = {}) => still.clone().webp(options).toBuffer();
const names = (file: Buffer) => partsOf(file).map((part) => part.toString('latin1', 4, 8));
const markers = (file: Buffer) => partsOf(file).map((part) => part[1]);
const refusal = (sentence: RegExp) =>
  expect.objectContaining({ message: expect.stringMatching(sentence) as string }) as Error;

describe(drawnParts.name, () => {
  it('should hand on what encoders write', async () => {
    for (const file of [await png(), await jpeg(), await webpOf(), await webpOf({ lossless: true })]) {
      expect(drawnParts(file).equals(file)).toBe(true);
    }
  });

  it('should drop the texts of a PNG and what follows its end, and keep what changes its look', async () => {
    const plain = await png();
    const [start, head, ...rest] = partsOf(plain);
    const looks = [pngChunk('gAMA', Buffer.from([0, 0, 177, 143])), pngChunk('sRGB', Buffer.alloc(1))];
    const file = Buffer.concat([start, head, pngChunk('tEXt', Buffer.from('a\0b')), ...looks, ...rest]);
    const drawn = drawnParts(Buffer.concat([withTexts(withTexts(file, 2), 2, true), Buffer.from('a zip')]));
    expect(drawn.equals(Buffer.concat([start, head, ...looks, ...rest]))).toBe(true);
  });

  it('should keep a critical chunk that it does not know, for the decoder to refuse', async () => {
    const [start, head, ...rest] = partsOf(await png());
    expect(names(drawnParts(Buffer.concat([start, head, pngChunk('CgBI'), ...rest])))).toContain('CgBI');
  });

  it('should drop comments, XMP and previews of a JPEG, also between scans and after its end', async () => {
    const progressive = await still.clone().jpeg({ progressive: true }).toBuffer();
    const parts = partsOf(progressive);
    const noise = [
      jpegSegment(0xfe, Buffer.from('comment')),
      jpegSegment(0xe1, Buffer.from('http://ns.adobe.com/xap/1.0/\0')),
      jpegSegment(0xe2, Buffer.from('MPF\0')),
      jpegSegment(0xe1),
    ];
    const [start, ...rest] = parts;
    const file = Buffer.concat([start, ...rest.flatMap((part) => [...noise, part]), await jpeg()]);
    expect(drawnParts(file).equals(progressive)).toBe(true);
  });

  it('should keep EXIF, ICC and Adobe segments of a JPEG once', async () => {
    const exif = jpegSegment(0xe1, Buffer.from('Exif\0\0MM'));
    const adobe = jpegSegment(0xee, Buffer.from('Adobe\0'));
    const icc = jpegSegment(0xe2, Buffer.from('ICC_PROFILE\0\x01\x01'));
    const file = [exif, adobe].reduce((made, segment) => withSegments(made, segment, 3), await jpeg());
    const kept = markers(drawnParts(withSegments(file, icc, 300)));
    const count = (marker: number) => kept.filter((one) => one === marker).length;
    expect([count(0xe1), count(0xee), count(0xe2)]).toEqual([1, 1, 255]);
  });

  it('should read the length of a segment as libjpeg does, also one that is too small', async () => {
    const lie = Buffer.from([0xff, 0xfe, 0, 0]); // libjpeg skips it and reads on behind it
    const plain = await jpeg();
    expect(drawnParts(withSegments(plain, lie, 5)).equals(plain)).toBe(true);
  });

  it('should drop XMP and unknown chunks of a WebP, and tell the new length', async () => {
    const chunks = partsOf(await webpOf()).slice(1);
    const file = webp(...chunks, webpChunk('XMP ', Buffer.from('<x/>')), webpChunk('ABCD'));
    expect(drawnParts(file).equals(webp(...chunks))).toBe(true);
  });

  it('should make of an animated WebP its first frame in its own size, however many there are', async () => {
    const chunks = partsOf(await still.clone().webp({ lossless: true }).toBuffer()).slice(1);
    const canvas = (flags: number, width: number, height: number) =>
      webpChunk('VP8X', Buffer.from([flags, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0]));
    const place = Buffer.from([9, 0, 0, 9, 0, 0, 63, 0, 0, 47, 0, 0, 100, 0, 0, 0]);
    const frame = webpChunk('ANMF', Buffer.concat([place, ...chunks, webpChunk('ABCD')]));
    const inFrame = webpChunk('ANMF', Buffer.concat([place, frame, ...chunks]));
    const others = Array<Buffer>(50_000).fill(webpChunk('ANMF', place));
    const expected = webp(canvas(0x10, 64, 48), ...chunks);
    for (const first of [frame, inFrame]) {
      const file = webp(canvas(0x12, 200, 100), webpChunk('ANIM', Buffer.alloc(6)), first, ...others);
      expect(drawnParts(file).equals(expected)).toBe(true);
    }
    expect(await sharp(expected).metadata()).toMatchObject({ width: 64, height: 48, format: 'webp' });
    const noFrame = webp(canvas(0x12, 64, 48), webpChunk('ANMF', place.subarray(0, 4)));
    await expect(sharp(drawnParts(noFrame)).metadata()).rejects.toThrow();
  });

  it('should refuse more scans than any encoder writes', async () => {
    const options = { progressive: true, chromaSubsampling: '4:4:4' };
    const progressive = await still.clone().flatten().jpeg(options).toBuffer();
    expect(await sharp(drawnParts(withScans(progressive, 63))).metadata()).toMatchObject({ width: 64 });
    expect(() => drawnParts(withScans(progressive, 64))).toThrow(refusal(/at most 64 scans/));
  });

  it('should refuse files of a million parts', async () => {
    const many = 65_536;
    const [pngStart, ...chunks] = partsOf(await png());
    const tiny = [pngStart, ...Array<Buffer>(many).fill(pngChunk('abCd')), ...chunks];
    const files = [
      Buffer.concat(tiny),
      withSegments(await jpeg(), jpegSegment(0xe1), many),
      webp(...Array<Buffer>(many).fill(webpChunk('ABCD')), ...partsOf(await webpOf()).slice(1)),
    ];
    for (const file of files) expect(() => drawnParts(file)).toThrow(PictureRefusal);
  });

  it('should leave cut files cut, wherever', async () => {
    const draws = (file: Buffer) =>
      sharp(file, { failOn: 'error' })
        .raw()
        .toBuffer()
        .then(
          () => true,
          () => false,
        );
    for (const file of [await png(), await jpeg(), await webpOf()]) {
      for (let length = 16; length < file.length; length += 5) {
        const cut = file.subarray(0, length);
        expect({ length, draws: await draws(drawnParts(cut)) }).toEqual({ length, draws: await draws(cut) });
      }
    }
  });
});
