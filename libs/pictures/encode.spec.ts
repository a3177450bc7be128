import sharp from 'sharp';
import { marksOf } from '../../test/support/parameters.reader';
import { encodePicture, encodePreview } from './encode';
import { OUTPUT_FORMATS } from './output';

const SOURCES = 'http://cv.iptc.org/newscodes/digitalsourcetype';
const [width, height] = [64, 32];
const pixels = Buffer.from(Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) % 251));
const encode = (format: (typeof OUTPUT_FORMATS)[number], marks: object = {}) =>
  encodePicture({ pixels, width, height }, { format, quality: 90 }, { composite: false, ...marks });

describe.each(OUTPUT_FORMATS)('An image as %s', (format) => {
  it.each([
    ['ASCII', 'a fox\nNegative prompt: x\nSteps: 4, Seed: 1'],
    ['Latin letters', 'Füchse, naïve: "çà"'],
    ['any letters', '狐 \u{1f98a} \u05d0 (red:1.2)'],
    ['as long as prompts are', '狐'.repeat(16_000)],
    ['one letter', 'x'],
  ])('should tell what made it: %s', async (_what, parameters) => {
    const file = await encode(format, { parameters });
    expect(await marksOf(file)).toEqual({
      parameters: [parameters],
      source: `${SOURCES}/trainedAlgorithmicMedia`,
    });
    expect(await sharp(file).metadata()).toMatchObject({ format, width, height });
    expect((await encode(format, { parameters })).equals(file)).toBe(true);
  });

  it('should be drawn all the same where words are too many for it', async () => {
    const parameters = '狐'.repeat(33_000);
    const file = await encode(format, { parameters });
    expect((await marksOf(file)).parameters).toEqual(format === 'png' ? [parameters] : []);
    expect((await sharp(file).metadata()).width).toBe(width);
  });

  it('should tell in any case that it was generated, and whether a picture is a part of it', async () => {
    expect(await marksOf(await encode(format))).toEqual({
      parameters: [],
      source: `${SOURCES}/trainedAlgorithmicMedia`,
    });
    expect(await marksOf(await encode(format, { composite: true }))).toEqual({
      parameters: [],
      source: `${SOURCES}/compositeWithTrainedAlgorithmicMedia`,
    });
  });

  it('should show the same with marks and without', async () => {
    const shown = async (marks?: object) =>
      sharp(await encode(format, marks))
        .raw()
        .toBuffer();
    const plain = await shown();
    expect((await shown({ parameters: '狐' })).equals(plain)).toBe(true);
    if (format === 'png') expect(plain.equals(pixels)).toBe(true);
  });
});

describe(encodePreview.name, () => {
  it('should tell that it was generated, as what it becomes does', async () => {
    const told = async (composite: boolean) =>
      marksOf(Buffer.from(await encodePreview({ pixels, width, height }, { composite }), 'base64'));
    expect(await told(false)).toEqual({ parameters: [], source: `${SOURCES}/trainedAlgorithmicMedia` });
    expect((await told(true)).source).toBe(`${SOURCES}/compositeWithTrainedAlgorithmicMedia`);
  });
});
