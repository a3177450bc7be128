import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { FaceProcessOptions } from '@app/faces';
import type { Region } from '@app/pictures';

/** Runs the process that looks for faces from its source. */
export class UnbuiltFaceProcess extends FaceProcessOptions {
  override readonly main: string = join(__dirname, '../../apps/faces/src/main.ts');
  override readonly execArgv: readonly string[] = ['-r', join(__dirname, 'typescript.js')];
  /** It is compiled first, at the lowest priority. */
  override readonly lookLimit = 60_000;
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
export function drawings(): Promise<Buffer[]> {
  const all = HEADS.flatMap((shapes) =>
    ['#ffffff', '#88ccee', '#dd6677', '#222244'].map(
      (ground, i) =>
        `<svg xmlns="http://www.w3.org/2000/svg" width="${400 + 100 * i}" height="400" viewBox="0 0 300 200"><rect width="300" height="200" fill="${ground}"/>${shapes}</svg>`,
    ),
  );
  return rendered(all);
}

/** Of skin and its shade, hair, half the face's width and half the jaw's. */
const FACES = [
  ['#d8a888', '#8a5a44', '#241812', 96, 58],
  ['#7c5238', '#3f281a', '#100c0a', 110, 76],
  ['#f0cdb8', '#b98a74', '#b08040', 88, 44],
] as const;
const eye = (x: number) =>
  `<ellipse cx="${x}" cy="232" rx="21" ry="10" fill="#f2efec"/><circle cx="${x}" cy="231" r="10" fill="#3a2a20"/><circle cx="${x}" cy="231" r="4.5"/><path d="M${x - 22} 230q22-16 44 1" stroke="#2a1a14" stroke-width="4" fill="none"/>`;

/** Strangers: shaded drawings that are found as faces, in pictures of 512x512. */
export function strangers(): Promise<Buffer[]> {
  const all = FACES.map(([skin, shade, hair, w, jaw]) => {
    const blur = (id: string, by: number) =>
      `<filter id="${id}"><feGaussianBlur stdDeviation="${by}"/></filter>`;
    const shadows = `<ellipse cx="210" cy="228" rx="30" ry="18"/><ellipse cx="302" cy="228" rx="30" ry="18"/><ellipse cx="${236 + w}" cy="290" rx="16" ry="60"/><ellipse cx="256" cy="296" rx="26" ry="9"/><path d="M262 230l14 58-20 4z"/><ellipse cx="256" cy="368" rx="26" ry="7"/>`;
    const brows = `<path d="M182 208q24-14 52-3M278 205q28-11 52 3" stroke="${hair}" stroke-width="9" fill="none"/>`;
    const mouth = `<ellipse cx="245" cy="293" rx="6" ry="4" fill="#4a2a22"/><ellipse cx="267" cy="293" rx="6" ry="4" fill="#4a2a22"/><path d="M218 334q22-12 38-5 16-7 38 5-38 28-76 0z" fill="#a1504c"/><path d="M216 334q40 8 80 0" stroke="#5a2825" stroke-width="2.5" fill="none"/>`;
    const head = `M${256 - w} 220Q${256 - w} 110 256 105 ${256 + w} 110 ${256 + w} 220 ${252 + w} 300 ${256 + jaw} 355 256 415 ${256 - jaw} 355 ${260 - w} 300 ${256 - w} 220z`;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512"><defs>${blur('soft', 7)}${blur('fine', 1.2)}</defs><rect width="512" height="512" fill="#8a98a6"/><path d="M120 512q20-92 136-92t136 92z" fill="#2d3e55"/><rect x="212" y="360" width="88" height="90" fill="${shade}"/><ellipse cx="256" cy="215" rx="${w + 22}" ry="160" fill="${hair}"/><path d="${head}" fill="${skin}" filter="url(#fine)"/><g filter="url(#soft)" fill="${shade}" opacity=".55">${shadows}</g><g filter="url(#fine)">${eye(210)}${eye(302)}${brows}${mouth}</g></svg>`;
  });
  return rendered(all);
}

/** As PNG. */
async function rendered(drawings: readonly string[]): Promise<Buffer[]> {
  const svg = { operation: ['VipsForeignLoadSvgBuffer'] };
  sharp.unblock(svg);
  try {
    return await Promise.all(drawings.map((drawing) => png(sharp(Buffer.from(drawing)))));
  } finally {
    sharp.block(svg);
  }
}
