/** A contact sheet, drawn through the service, for a person to look at. */
import { resolve } from 'node:path';
import sharp from 'sharp';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark } from '../bench/support/benchmark.mjs';
import { DEMO, fixturePng, startService } from '../bench/support/service.mjs';

const USERS = ['panda-on-purple', 'cake-on-green'];
const COLUMNS = 4;
/** Pixels of a cell: the picture enlarged, two lines of text below. */
const SIDE = 256;
const LABEL = 44;
const GAP = 8;
/** The reference picture, in the corner of what was drawn from it. */
const INSET = 64;

const { out, steps, seed } = readArguments('Draws a contact sheet at the defaults of the demo.', {
  out: { about: 'where to save the PNG', default: 'sheet.png' },
  steps: { about: 'sampling steps', default: 50 },
  seed: { about: 'of every picture', default: 7 },
});

/** @typedef {{ route: 'generations' | 'memory' | 'subject', options: Record<string, unknown>, title: string, reference?: string }} Cell */

/** @type {Cell[]} */
const CELLS = [
  ...[
    'a fox on a blue background',
    'a pizza on green',
    'a panda on pink',
    'a rocket on black',
    'a house on yellow',
    'a strawberry on white',
  ].map((prompt) => /** @type {Cell} */ ({ route: 'generations', options: { prompt }, title: prompt })),
  {
    route: 'generations',
    options: { prompt: 'a fox on a blue background', loras: [{ name: 'night' }] },
    title: 'the first one with LoRA night',
  },
  ...USERS.map(
    (user) =>
      /** @type {Cell} */ ({
        route: 'memory',
        options: { user_id: user, prompt: 'a fox' },
        title: 'memory: a fox',
        reference: user,
      }),
  ),
  {
    route: 'subject',
    options: { user_id: USERS[0] },
    title: 'subject',
    reference: USERS[0],
  },
];

await benchmark(async () => {
  const service = await startService(DEMO);
  for (const user of USERS) await service.putPicture(user, 'avatar', user);
  await service.putPicture(USERS[0], 'photo', USERS[0]);

  /** @type {Buffer[]} */
  const cells = [];
  for (const cell of CELLS) {
    const picture = await service.draw(cell.route, { ...cell.options, seed, num_inference_steps: steps });
    const time = `${(picture.wall / 1000).toFixed(1)} s`;
    console.log(`${time.padStart(8)}  ${cell.title}${cell.reference ? ` (from ${cell.reference})` : ''}`);
    cells.push(await drawCell(cell, await service.png(picture), time));
  }
  await saveSheet(cells);
  console.log(`\nSheet: ${resolve(out)}, row by row in this order`);
  return 0;
});

/**
 * @param {Cell} cell
 * @param {Buffer} png
 * @param {string} time
 */
async function drawCell({ title, reference }, png, time) {
  const layers = [
    { input: await sharp(png).resize(SIDE, SIDE).png().toBuffer(), left: 0, top: 0 },
    { input: Buffer.from(labelSvg(title, time)), left: 0, top: SIDE },
  ];
  if (reference) {
    const inset = await sharp(await fixturePng(reference))
      .resize(INSET, INSET)
      .extend({ top: 2, bottom: 2, left: 2, right: 2, background: 'white' })
      .png()
      .toBuffer();
    layers.push({ input: inset, left: SIDE - INSET - 4, top: SIDE - INSET - 4 });
  }
  return blank(SIDE, SIDE + LABEL)
    .composite(layers)
    .png()
    .toBuffer();
}

/**
 * Drawn by the machine's own fonts; where there are none the terminal tells the same in the same order.
 *
 * @param {string} title
 * @param {string} time
 */
function labelSvg(title, time) {
  return `
  <svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${LABEL}" font-family="sans-serif" font-size="13">
    <text x="2" y="17">${title}</text>
    <text x="2" y="35" fill="#666">${time}</text>
  </svg>`;
}

/** @param {Buffer[]} cells */
async function saveSheet(cells) {
  const rows = Math.ceil(cells.length / COLUMNS);
  const [width, height] = [SIDE + GAP, SIDE + LABEL + GAP];
  await blank(COLUMNS * width + GAP, rows * height + GAP)
    .composite(
      cells.map((input, i) => ({
        input,
        left: GAP + (i % COLUMNS) * width,
        top: GAP + Math.floor(i / COLUMNS) * height,
      })),
    )
    .png()
    .toFile(out);
}

/** @param {number} width @param {number} height */
function blank(width, height) {
  return sharp({ create: { width, height, channels: 3, background: 'white' } });
}
