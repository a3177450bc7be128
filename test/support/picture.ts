import sharp from 'sharp';

export interface Rgb {
  readonly r: number;
  readonly g: number;
  readonly b: number;
}

/** Mean colour of a picture's four corners, where the demo's pictures have their background. */
export async function backgroundOf(png: Buffer): Promise<Rgb> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const side = Math.floor(info.width / 10);
  const sum = [0, 0, 0];
  for (let y = 0; y < info.height; y++) {
    for (let x = 0; x < info.width; x++) {
      const corner = (x < side || x >= info.width - side) && (y < side || y >= info.height - side);
      if (corner) for (let c = 0; c < 3; c++) sum[c] += data[(y * info.width + x) * 3 + c];
    }
  }
  const [r, g, b] = sum.map((total) => Math.round(total / (4 * side * side)));
  return { r, g, b };
}
