import { putBack } from './feather';
import type { Region } from './framing';

describe(putBack.name, () => {
  const [width, height] = [40, 30];
  const put = async (part: Region) => {
    const pixels = Buffer.alloc(width * height * 3, 100);
    await putBack({ pixels, width, height }, part, Buffer.alloc(part.width * part.height * 3, 200));
    return (x: number, y: number) => pixels[(y * width + x) * 3];
  };

  it('should change nothing around the part, its middle wholly, and little at its edges', async () => {
    const part = { x: 10, y: 5, width: 16, height: 16 };
    const at = await put(part);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [across, down] = [x - part.x, y - part.y];
        const isOutside = across < 0 || down < 0 || across >= part.width || down >= part.height;
        const isMiddle = Math.min(across, down) >= 2 && Math.max(across, down) <= 13;
        if (isOutside || isMiddle) expect([x, y, at(x, y)]).toEqual([x, y, isMiddle ? 200 : 100]);
        else expect(at(x, y)).toBeLessThanOrEqual(150);
      }
    }
    expect(at(11, 12)).toBe(150);
  });

  it('should go up to the edge of the picture', async () => {
    const at = await put({ x: 0, y: 14, width: 16, height: 16 });
    expect([at(0, 29), at(8, 29), at(0, 20), at(15, 20), at(8, 14)]).toEqual([200, 200, 200, 100, 100]);
  });

  const noise = (length: number, factor: number) =>
    Buffer.from(Uint8Array.from({ length }, (_, i) => (i * factor) % 251));

  it.each<Region>([
    { x: 10, y: 5, width: 16, height: 16 },
    { x: 0, y: 14, width: 17, height: 16 },
    { x: 27, y: 0, width: 13, height: 30 },
    { x: 3, y: 3, width: 1, height: 2 },
    { x: 0, y: 0, width, height },
  ])('should blend each pixel by its share of the way from the edge: %#', async (part) => {
    const before = noise(width * height * 3, 101);
    const painted = noise(part.width * part.height * 3, 37);
    const share = (start: number, length: number, whole: number, i: number) => {
      const feather = Math.max(1, Math.round(length / 8));
      const [first, last] = [start === 0, start + length === whole];
      const near = Math.min(1, first ? 1 : i / feather, last ? 1 : (length - 1 - i) / feather);
      return near * near * (3 - 2 * near);
    };
    const expected = before.map((was, at) => {
      const pixel = Math.floor(at / 3);
      const [x, y] = [(pixel % width) - part.x, Math.floor(pixel / width) - part.y];
      if (x < 0 || y < 0 || x >= part.width || y >= part.height) return was;
      const across = share(part.x, part.width, width, x);
      const weight = across * share(part.y, part.height, height, y);
      return Math.round(was + (painted[(y * part.width + x) * 3 + (at % 3)] - was) * weight);
    });
    const pixels = Buffer.from(before);
    await putBack({ pixels, width, height }, part, painted);
    expect(pixels.equals(expected)).toBe(true);
  });

  it('should give way to others while a part is large', async () => {
    const part = { x: 0, y: 0, width: 1000, height: 1000 };
    let isDone = false;
    const pixels = Buffer.alloc(1000 * 1000 * 3);
    const done = putBack({ pixels, width: 1000, height: 1000 }, part, pixels).then(() => (isDone = true));
    for (let turn = 0; turn < 5; turn++) {
      await new Promise(setImmediate);
      expect(isDone).toBe(false);
    }
    await done;
  });
});
