import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { FaceProcessOptions } from '@app/faces';
import type { Region } from '@app/pictures';

/** Runs the process that looks for faces from its source. */
export class UnbuiltFaceProcess extends FaceProcessOptions {
  override readonly main: string = join(__dirname, '../../apps/faces/src/main.ts');
  override readonly execArgv: readonly string[] = ['-r', join(__dirname, 'typescript.js')];
}

/** NASA's portrait of Eileen Collins, in the public domain: 512x512. */
export const ASTRONAUT = readFileSync(join(__dirname, '../fixtures/astronaut.png'));
/** Her face in it, by eye: from the hair line to the chin, from ear to ear. */
export const FACE: Region = { x: 178, y: 62, width: 92, height: 128 };

export interface FaceCase {
  readonly name: string;
  readonly picture: Buffer;
  /** Where the largest face is, upright; cut to the picture. */
  readonly face: Region;
}

const side = 512;
const scaled = ({ x, y, width, height }: Region, by: number, left = 0, top = 0): Region => ({
  ...{ x: left + x * by, y: top + y * by, width: width * by, height: height * by },
});
const astronaut = () => sharp(ASTRONAUT).removeAlpha();
const png = (picture: Sharp) => picture.png().toBuffer();
const small = (by: number) => png(astronaut().resize(Math.round(side * by)));
const onGround = (width: number, height: number, ...layers: { input: Buffer; left: number; top: number }[]) =>
  sharp({ create: { width, height, channels: 3, background: '#8a9a7a' } }).composite(layers);
const part = (left: number, top: number, width: number, height: number) =>
  png(astronaut().extract({ left, top, width, height }));

/** Photos in which a centre crop, or a careless detector, goes wrong. */
export async function hardCases(): Promise<FaceCase[]> {
  const sixty = 60 / FACE.width;
  const twenty = 26 / FACE.width;
  const whole = await png(astronaut());
  const turned = { x: side - FACE.x - FACE.width, y: side - FACE.y - FACE.height };
  return [
    {
      name: 'at the right of a wide frame',
      picture: await onGround(3000, 2000, { input: whole, left: 2488, top: 100 }).jpeg().toBuffer(),
      face: scaled(FACE, 1, 2488, 100),
    },
    {
      name: '60 pixels wide in a corner',
      picture: await png(onGround(1000, 1000, { input: await small(sixty), left: 660, top: 660 })),
      face: scaled(FACE, sixty, 660, 660),
    },
    {
      name: '26 pixels wide at the left',
      picture: await png(onGround(1024, 683, { input: await small(twenty), left: 30, top: 400 })),
      face: scaled(FACE, twenty, 30, 400),
    },
    {
      name: 'turned by EXIF',
      // Stored lying on its side, as phones do: upright it is the wide frame's right again.
      picture: await sharp(await png(onGround(1400, 700, { input: whole, left: 880, top: 150 })))
        .rotate(-90)
        .withMetadata({ orientation: 6 })
        .jpeg()
        .toBuffer(),
      face: scaled(FACE, 1, 880, 150),
    },
    {
      name: 'two of different sizes',
      picture: await png(
        onGround(
          1400,
          700,
          { input: whole, left: 20, top: 100 },
          { input: await small(0.5), left: 1100, top: 300 },
        ),
      ),
      face: scaled(FACE, 1, 20, 100),
    },
    {
      name: 'upside down',
      picture: await png(astronaut().rotate(180)),
      face: { ...FACE, ...turned },
    },
    {
      name: 'cut at the left border',
      picture: await part(195, 30, 300, 300),
      face: { x: 0, y: 32, width: 75, height: 128 },
    },
    {
      name: 'cut at the top border',
      picture: await part(50, 100, 350, 350),
      face: { x: 128, y: 0, width: 92, height: 90 },
    },
    {
      name: 'blurred',
      picture: await png(onGround(1100, 512, { input: await png(astronaut().blur(3)), left: 0, top: 0 })),
      face: FACE,
    },
    {
      name: 'greyscale, in portrait format',
      picture: await png(
        sharp(await png(onGround(600, 1400, { input: whole, left: 40, top: 40 }))).greyscale(),
      ),
      face: scaled(FACE, 1, 40, 40),
    },
    {
      name: 'dark',
      picture: await png(
        sharp(await png(onGround(900, 512, { input: whole, left: 380, top: 0 }))).linear(0.25, 0),
      ),
      face: scaled(FACE, 1, 380, 0),
    },
    {
      name: 'turned by 30 degrees',
      picture: await png(astronaut().rotate(30, { background: '#8a9a7a' })),
      face: { x: 332, y: 160, width: 110, height: 122 },
    },
  ];
}

const EMOJI = readFileSync(join(__dirname, '../fixtures/emoji.png'));
/** Of a sheet of eight a row, the first 40: those that the demo checkpoint draws, animals and things. */
export async function emoji(): Promise<Buffer[]> {
  const pictures: Buffer[] = [];
  for (let i = 0; i < 40; i++) {
    const one = sharp(EMOJI).extract({
      left: (i % 8) * 64,
      top: Math.floor(i / 8) * 64,
      width: 64,
      height: 64,
    });
    const input = await png(sharp(await png(one)).resize(150));
    // No square, for the crops to differ.
    const background = ['#ffffff', '#7a3ca8', '#2c7be5', '#f2c14e'][i % 4];
    const create = { width: 300, height: 200, channels: 3, background } as const;
    pictures.push(await png(sharp({ create }).composite([{ input, left: 10 + (i % 5) * 30, top: 25 }])));
  }
  return pictures;
}

const HEADS = [
  '<circle cx="150" cy="100" r="80" fill="#ffd93b"/><circle cx="120" cy="80" r="10"/><circle cx="180" cy="80" r="10"/><path d="M105 120q45 50 90 0" stroke="#000" stroke-width="8" fill="none"/>',
  '<rect x="80" y="30" width="140" height="140" rx="20" fill="#9aa"/><rect x="105" y="70" width="30" height="20"/><rect x="165" y="70" width="30" height="20"/><rect x="110" y="125" width="80" height="15"/>',
  '<circle cx="150" cy="55" r="25" fill="none" stroke="#000" stroke-width="5"/><path d="M150 80v70m0-50l-35 20m35-20l35 20m-35 30l-25 45m25-45l25 45" stroke="#000" stroke-width="5"/>',
  '<path d="M90 160V60l30 30h60l30-30v100z" fill="#f39c5a"/><circle cx="130" cy="115" r="8"/><circle cx="170" cy="115" r="8"/><path d="M145 135h10l-5 8z"/>',
  '<path d="M50 190V90l100-70l100 70v100z" fill="#c96"/><rect x="130" y="130" width="40" height="60"/><rect x="75" y="105" width="35" height="35"/><rect x="190" y="105" width="35" height="35"/>',
];
/** Drawn heads, figures and things, each in four colours. */
export async function drawings(): Promise<Buffer[]> {
  const svg = { operation: ['VipsForeignLoadSvgBuffer'] };
  sharp.unblock(svg);
  try {
    const all = HEADS.flatMap((shapes) =>
      ['#ffffff', '#88ccee', '#dd6677', '#222244'].map((ground, i) =>
        png(
          sharp(
            Buffer.from(
              `<svg xmlns="http://www.w3.org/2000/svg" width="${400 + 100 * i}" height="400" viewBox="0 0 300 200"><rect width="300" height="200" fill="${ground}"/>${shapes}</svg>`,
            ),
          ),
        ),
      ),
    );
    return await Promise.all(all);
  } finally {
    sharp.block(svg);
  }
}
