import { putBack } from './feather';

describe(putBack.name, () => {
  const [width, height] = [40, 30];
  const put = (part: { x: number; y: number; width: number; height: number }) => {
    const pixels = Buffer.alloc(width * height * 3, 100);
    putBack({ pixels, width, height }, part, Buffer.alloc(part.width * part.height * 3, 200));
    return (x: number, y: number) => pixels[(y * width + x) * 3];
  };

  it('should change nothing around the part, its middle wholly, and little at its edges', () => {
    const part = { x: 10, y: 5, width: 16, height: 16 };
    const at = put(part);
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

  it('should go up to the edge of the picture', () => {
    const at = put({ x: 0, y: 14, width: 16, height: 16 });
    expect([at(0, 29), at(8, 29), at(0, 20), at(15, 20), at(8, 14)]).toEqual([200, 200, 200, 100, 100]);
  });
});
