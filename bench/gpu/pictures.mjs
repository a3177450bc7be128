/**
 * Part 3 of bench:gpu: does the card draw what the processor draws? The demo checkpoint through the whole service, each
 * option once on both devices. What a wrong picture would say stands beside it: the difference to the next row's picture.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import { readArguments } from '../support/arguments.mjs';
import { benchmark, verdict } from '../support/benchmark.mjs';
import { DEMO, fixturePng, health, startService } from '../support/service.mjs';

const SIDE = 128;
/** Levels of 255. Other kernels round in other ways, in each of 20 steps; another picture is 30 and more away. */
const NEAR = 4;

const options = readArguments("The demo's pictures by the card and by the processor.", {
  device: { about: 'as in ENGINE_DEVICES', default: 'CUDA0' },
  against: { about: 'the other device', default: 'CPU' },
  out: { about: 'a folder for the sheet', default: 'gpu-results' },
});

const fox = { prompt: 'a fox on a blue background', num_inference_steps: 20, seed: 7 };
const apple = { prompt: 'a red apple on a green background', num_inference_steps: 20, seed: 7 };
const cake = `data:image/png;base64,${(await fixturePng('cake-on-green')).toString('base64')}`;

/** @type {[string, 'generations' | 'memory' | 'subject', Record<string, unknown>][]} */
const PICTURES = [
  ['text', 'generations', fox],
  ['sampler and scheduler', 'generations', { ...apple, sampler: 'dpm++2m', scheduler: 'karras' }],
  ['LoRA', 'generations', { ...fox, loras: [{ name: 'night', scale: 1 }] }],
  ['image, strength 0.5', 'generations', { ...fox, image: cake, strength: 0.5 }],
  ['avatar', 'memory', { ...apple, user_id: 'user123', ip_adapter_scale: 1 }],
  ['hires', 'generations', { ...fox, size: '64x64', hires: { scale: 2 } }],
  ['photo', 'subject', { user_id: 'user123', num_inference_steps: 20, seed: 7, size: '128x128' }],
  ['four steps', 'generations', { ...apple, num_inference_steps: 4 }],
];

await benchmark(async () => {
  await mkdir(options.out, { recursive: true });
  const [mine, theirs] = [await drawAll(options.device), await drawAll(options.against)];
  const rows = PICTURES.map(([what], i) => ({
    what,
    [`${options.device} s`]: (mine[i].wall / 1000).toFixed(2),
    [`${options.against} s`]: (theirs[i].wall / 1000).toFixed(2),
    levels: difference(mine[i].pixels, theirs[i].pixels),
    'to the next row': difference(mine[i].pixels, theirs[(i + 1) % theirs.length].pixels),
  }));
  console.table(rows);
  const sheet = join(resolve(options.out), 'pictures.png');
  await writeFile(sheet, await sheetOf([mine, theirs]));
  console.log(`Above ${options.device}, below ${options.against}: ${sheet}`);
  const near = rows.every(({ levels }) => levels <= NEAR);
  const tells = rows.every((row) => row['to the next row'] > 2 * NEAR);
  if (!tells) console.log('Pictures of two rows are as alike as those of two devices: this proves nothing.');
  return verdict(`each within ${NEAR} levels of 255 of the other device's picture`, near && tells);
});

/** @param {string} device */
async function drawAll(device) {
  const service = await startService({ ...DEMO, ENGINE_DEVICES: device });
  const { device: found, description } = await health(service);
  console.log(`${device}: ${found} ${description}`);
  await service.putPicture('user123', 'avatar', 'panda-on-purple');
  await service.putPicture('user123', 'photo', 'astronaut');
  const drawn = [];
  for (const [what, route, body] of PICTURES) {
    const full = { size: `${SIDE}x${SIDE}`, ...body };
    const picture = await service.draw(route, full).catch((/** @type {Error} */ error) => {
      throw new Error(`${what}: ${error.message}`);
    });
    const png = await service.png(picture);
    drawn.push({ png, wall: picture.wall, pixels: await sharp(png).removeAlpha().raw().toBuffer() });
  }
  await service.stop();
  return drawn;
}

/** Mean, in levels of 255. @param {Buffer} a @param {Buffer} b */
const difference = (a, b) =>
  Number((a.reduce((sum, level, i) => sum + Math.abs(level - b[i]), 0) / a.length).toFixed(2));

/** @param {{ png: Buffer }[][]} rows */
async function sheetOf(rows) {
  const input = rows.flatMap((row, y) =>
    row.map(({ png }, x) => ({ input: png, left: x * SIDE, top: y * SIDE })),
  );
  const [width, height] = [SIDE * PICTURES.length, SIDE * rows.length];
  return sharp({ create: { width, height, channels: 3, background: 'white' } })
    .composite(input)
    .png()
    .toBuffer();
}
