import { Canvas } from './canvas';
import type { GenerateRequest } from './pipeline.types';

describe(Canvas.name, () => {
  const request = (options: Partial<GenerateRequest>) =>
    ({ prompt: 'a fox', width: 72, height: 64, ...options }) as GenerateRequest;
  /** Each pixel tells its column, and of which picture it is. */
  const columns = (width: number, height: number, picture = 0) =>
    Buffer.from(Array.from({ length: width * height }, (_, i) => [i % width, picture, 0]).flat());
  const columnOf = (pixels: Buffer, at: number) => pixels[3 * at];

  it('should have the engine draw the next larger size, around what the picture begins from', async () => {
    const image = { pixels: columns(72, 64), strength: 0.5 };
    const mask = Buffer.alloc(72 * 64);
    mask[0] = 255;
    const control = { pixels: columns(72, 64), model: '/x', strength: 1 };
    const asked = await new Canvas(request({ image, mask, control })).toRequest();
    expect(asked).toMatchObject({ width: 128, height: 64, image: { strength: 0.5 } });
    for (const { pixels } of [asked.image!, asked.control!]) {
      expect([28, 99].map((at) => columnOf(pixels, at))).toEqual([0, 71]);
      expect(pixels).toHaveLength(128 * 64 * 3);
    }
    expect(asked.mask).toHaveLength(128 * 64);
    expect([26, 27, 28, 29].map((at) => asked.mask![at])).toEqual([0, 255, 255, 0]);
  });

  it('should cut the middle out of each picture of a batch', async () => {
    const pixels = Buffer.concat([columns(128, 64), columns(128, 64, 1)]);
    const canvas = new Canvas(request({ count: 2 }));
    const cut = await canvas.cut({ pixels, width: 128, height: 64 });
    expect(cut).toMatchObject({ width: 72, height: 64 });
    expect(cut.pixels).toHaveLength(2 * 72 * 64 * 3);
    expect([0, 71, 72].map((at) => columnOf(cut.pixels, at))).toEqual([28, 99, 28]);
    expect([1, 72 * 64 * 3 + 1].map((at) => cut.pixels[at])).toEqual([0, 1]);
  });

  it('should cut what an upscaler enlarged, as much more of it', async () => {
    const cut = await new Canvas(request({ upscaler: '/x' })).cut({
      ...{ pixels: columns(256, 128), width: 256, height: 128 },
    });
    expect(cut).toMatchObject({ width: 144, height: 128 });
    expect([0, 143].map((at) => columnOf(cut.pixels, at))).toEqual([56, 199]);
  });

  it('should have of a second sampling the same part, in the size that was asked for', async () => {
    const hires = { width: 144, height: 128, steps: 1, strength: 1 };
    const canvas = new Canvas(request({ hires }));
    expect(await canvas.toRequest()).toMatchObject({
      ...{ width: 128, hires: { width: 192, height: 128, steps: 1, strength: 1 } },
    });
    const cut = await canvas.cut({ pixels: columns(192, 128), width: 192, height: 128 });
    expect(cut).toMatchObject({ width: 144, height: 128 });
    expect(cut.pixels).toHaveLength(144 * 128 * 3);
    // The engine had 128 columns of which 72 count, and made 192 of them, of which 108 do.
    const [first, last] = [0, 143].map((at) => columnOf(cut.pixels, at));
    expect([Math.abs(first - 42) < 3, Math.abs(last - 149) < 3]).toEqual([true, true]);
  });

  it('should show the same part in previews', () => {
    const canvas = new Canvas(request({}));
    const preview = canvas.preview({ pixels: columns(16, 8), width: 16, height: 8, step: 3 });
    expect(preview).toMatchObject({ width: 9, height: 8, step: 3 });
    expect([0, 8].map((at) => columnOf(preview.pixels, at))).toEqual([3, 11]);
    expect(preview.pixels).toHaveLength(9 * 8 * 3);
  });

  it('should leave alone what the engine draws as it is', async () => {
    const hires = { width: 256, height: 128, steps: 1, strength: 1 };
    for (const options of [{}, { hires }]) {
      const canvas = new Canvas(request({ width: 128, ...options }));
      const { width, height } = options.hires ?? { width: 128, height: 64 };
      const picture = { pixels: Buffer.alloc(width * height * 3), width, height };
      expect(await canvas.cut(picture)).toBe(picture);
      const preview = { pixels: Buffer.alloc(16 * 8 * 3), width: 16, height: 8, step: 1 };
      expect(canvas.preview(preview)).toBe(preview);
      const image = { pixels: columns(128, 64), strength: 1 };
      const asked = await new Canvas(request({ width: 128, image, ...options })).toRequest();
      expect(asked.image!.pixels).toBe(image.pixels);
    }
  });
});
