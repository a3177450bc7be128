import { cutOut, resized, surrounded } from './cut';

/** Each pixel tells its place. */
const placed = (width: number, height: number, channels: 1 | 3) =>
  Buffer.from(
    Array.from({ length: width * height }, (_, i) =>
      [i % width, Math.floor(i / width), 200].slice(0, channels),
    ).flat(),
  );

describe(surrounded.name, () => {
  it.each([1, 3] as const)(
    'should keep each pixel of %d bytes, and mirror them beyond the edges',
    async (bytes) => {
      const pixels = placed(72, 64, bytes);
      const whole = await surrounded(pixels, { width: 72, height: 64 }, { width: 128, height: 64 });
      expect(whole).toHaveLength(128 * 64 * bytes);
      const at = (x: number, y: number) => [
        ...whole.subarray((y * 128 + x) * bytes, (y * 128 + x + 1) * bytes),
      ];
      const of = (x: number, y: number) => [x, y, 200].slice(0, bytes);
      for (const y of [0, 63]) {
        expect([27, 28, 99, 100, 127].map((x) => at(x, y))).toEqual([0, 0, 71, 71, 44].map((x) => of(x, y)));
      }
      const part = { x: 28, y: 0, width: 72, height: 64 };
      if (bytes === 3)
        expect(cutOut({ pixels: whole, width: 128, height: 64 }, part).equals(pixels)).toBe(true);
    },
  );

  it('should leave a picture of that size alone', async () => {
    const pixels = Buffer.from([1]);
    const size = { width: 64, height: 64 };
    expect(await surrounded(pixels, size, { ...size })).toBe(pixels);
  });
});

describe(resized.name, () =>
  it('should have all of the picture in another size', async () => {
    const halves = Buffer.from(Array.from({ length: 96 * 32 * 3 }, (_, i) => (i % 288 < 144 ? 10 : 250)));
    const small = await resized({ pixels: halves, width: 96, height: 32 }, { width: 80, height: 24 });
    expect(small).toHaveLength(80 * 24 * 3);
    expect([...small.subarray(0, 3), ...small.subarray(-3)]).toEqual([10, 10, 10, 250, 250, 250]);
  }),
);
