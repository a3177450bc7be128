/**
 * The production shape, once for real: a hub on this machine serves random weights of the true names and shapes under
 * the names of the real repositories, and the built service is started as an operator starts it, with nothing set but
 * where the hub is. It downloads 10.5 GB, is killed in the middle, goes on, loads, draws after an avatar with a LoRA,
 * and ends.
 */
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder } from '../bench/support/benchmark.mjs';
import { BLOBS, partOf, sizeOf, sizeOfAll } from './fullsize.disk.mjs';
import { startHub } from './fullsize.hub.mjs';
import { expect, failures, gb, memory, print, seconds, timed } from './fullsize.report.mjs';
import { residentMb } from '../bench/support/observe.mjs';
import {
  randomAdapter,
  randomImageEncoder,
  randomLora,
  randomVae,
} from '../bench/weights/random.adapter.mjs';
import { writeRandomFile } from '../bench/weights/random.file.mjs';
import { randomSdxl } from '../bench/weights/random.sdxl.mjs';
import { health, startService } from '../bench/support/service.mjs';

/** @typedef {import('../bench/support/service.mjs').Service} Service */

const CHECKPOINT = 'stabilityai/stable-diffusion-xl-base-1.0/sd_xl_base_1.0.safetensors';
const BESIDE_THE_CHECKPOINT = [
  'sd_xl_base_1.0_0.9vae.safetensors',
  'sd_xl_offset_example-lora_1.0.safetensors',
  'model_index.json',
  ...['scheduler/', 'text_encoder/', 'unet/', 'vae/'],
];
/** What a start does before it is ready, by how its reason begins. @type {[RegExp, string][]} */
const PHASES = [
  [/^Verifying/, 'resume: hash what is on disk'],
  [/^Downloading/, 'resume: download the rest'],
  [/^loading the model/, 'load'],
];
/** Of the pictures that only have to differ. */
const SMALL = '64x64';
const MINUTES = 30;

const { size, rank, keep, json } = readArguments('The production shape, once for real.', {
  size: { about: "the picture's side in pixels", default: 512 },
  rank: { about: "the LoRA's, a power of two", default: 32 },
  keep: { about: 'a folder for the data, which stays and is used again; else a temporary one', default: '' },
  json: { about: 'a file for the figures', default: '' },
});

await benchmark(async () => {
  const folder = keep || (await temporaryFolder());
  const [data, loras] = [join(folder, 'data'), join(folder, 'loras')];
  for (const path of [data, loras]) await mkdir(path, { recursive: true });

  const lora = randomLora(6, rank);
  const loraFile = join(loras, 'everything.safetensors');
  if (!(await sizeOf(loraFile))) await writeRandomFile(lora.file, loraFile);
  const hub = await timed('weights', () =>
    startHub(
      {
        'madebyollin/sdxl-vae-fp16-fix/sdxl_vae.safetensors': randomVae(2),
        'h94/IP-Adapter/sdxl_models/ip-adapter_sdxl_vit-h.safetensors': randomAdapter(3),
        'h94/IP-Adapter/models/image_encoder/model.safetensors': randomImageEncoder(4),
        [CHECKPOINT]: randomSdxl({ channels: 320, seed: 1 }),
      },
      { 'stabilityai/stable-diffusion-xl-base-1.0': BESIDE_THE_CHECKPOINT },
    ),
  );
  const served = [...hub.files.values()].reduce((sum, file) => sum + file.size, 0);
  console.log(
    `${gb(served)} in ${hub.files.size} files, LoRA ${gb(lora.file.size)} over ${lora.layers} layers`,
  );

  const sha256 = hub.files.get(CHECKPOINT)?.sha256 ?? '';
  const start = () =>
    // Bytes are compared: what differs are pixels, not the words beside them.
    startService(
      { HF_ENDPOINT: hub.endpoint, LORA_DIR: loras, EMBED_PARAMETERS: 'false' },
      { folder: data, ready: false, onLine },
    );
  const there = await sizeOf(join(data, BLOBS, sha256));
  const killed = there ? undefined : await breakOff(start, hub, data);
  const service = await resume(start, hub, killed);
  await draw(service, lora.tensors);
  await end(service);
  const disk = await sizeOfAll(folder);

  print({ disk, served });
  if (json) await writeFile(json, JSON.stringify({ seconds, memory, disk, served, failures }, null, 2));
  return failures.length ? 1 : 0;
});

// --- the phases ---

/**
 * A first start, killed in the middle of the checkpoint. Gives back where the part ended, and what had been sent.
 *
 * @param {() => Promise<Service>} start
 * @param {Awaited<ReturnType<typeof startHub>>} hub
 * @param {string} data
 */
async function breakOff(start, hub, data) {
  const whole = hub.files.get(CHECKPOINT)?.size ?? 0;
  const service = await start();
  const told = await timed('download until kill -9', () =>
    follow(service, 'API, downloading', async () => (await partOf(data)) > whole / 2),
  );
  for (const [, phase] of PHASES) delete seconds[phase];
  await service.killGroup();
  const onDisk = await partOf(data);
  const last = told.at(-1) ?? '';
  expect(
    told.length > 10 && /file 4 of 4, .* of 10\.5 GB, .* left/.test(last),
    '/health/ready tells the progress',
    last,
  );
  expect(onDisk < whole, 'kill -9 in the middle of the checkpoint', `${gb(onDisk)} of ${gb(whole)} on disk`);
  await sleep(1000); // the hub notices
  return { onDisk, sent: hub.sent.map((range) => ({ ...range })) };
}

/**
 * A start that ends ready. It fetches what is not on disk, and nothing else.
 *
 * @param {() => Promise<Service>} start
 * @param {Awaited<ReturnType<typeof startHub>>} hub
 * @param {{ onDisk: number, sent: import('./fullsize.hub.mjs').Sent[] } | undefined} killed
 */
async function resume(start, hub, killed) {
  const service = await start();
  await follow(service, 'API, going on and loading', ({ status, state, reason }) => {
    if (state === 'failed') throw new Error(`The service cannot draw: ${reason}`);
    return status === 'up';
  });
  if (!killed) return service;
  const [before] = killed.sent.filter(({ path }) => path === CHECKPOINT);
  const after = hub.sent.slice(killed.sent.length);
  const [again] = after;
  expect(after.length === 1 && again?.path === CHECKPOINT, 'only the rest of the checkpoint is fetched');
  expect(again?.start === killed.onDisk, 'from the first byte that was not on disk', again?.start);
  const lost = before.end - killed.onDisk;
  console.log(`        ${(lost / 1e6).toFixed(1)} MB were on their way to the disk when it was killed`);
  return service;
}

/** @param {Service} service @param {number} loraTensors */
async function draw(service, loraTensors) {
  await service.putPicture('ada', 'avatar', 'panda-on-purple');
  await service.putPicture('bob', 'avatar', 'cake-on-green');
  const { body } = await service.get('/v1/loras');
  expect(body.toString().includes('"everything"'), 'the LoRA is offered', `${loraTensors} tensors`);
  const options = {
    user_id: 'ada',
    prompt: 'a lighthouse on a cliff, watercolour',
    ...{ num_inference_steps: 1, seed: 7, ip_adapter_scale: 1, size: `${size}x${size}` },
    loras: [{ name: 'everything', scale: 1 }],
  };
  const { timings, warnings, png } = await picture(service, options);
  for (const [phase, ms] of Object.entries(timings))
    seconds[`picture: ${phase.replace('_ms', '')}`] = ms / 1000;
  const { width, height } = await sharp(png).metadata();
  expect(width === size && height === size, 'the picture has its size', `${width}x${height}`);
  const { channels } = await sharp(png).stats();
  const spread = Math.min(...channels.map(({ stdev }) => stdev));
  expect(spread > 5, 'it is not flat', `standard deviation ${spread.toFixed(0)} levels`);
  expect(
    warnings.length === 0,
    'avatar and LoRA were applied without a warning',
    warnings.join(' ') || 'none',
  );

  const small = { ...options, size: SMALL };
  const like = (await picture(service, small)).png;
  const differs = async (/** @type {string} */ what, /** @type {object} */ other) =>
    expect(!like.equals((await picture(service, { ...small, ...other })).png), what);
  expect(like.equals((await picture(service, small)).png), 'the same request gives the same bytes');
  await differs('another avatar gives another picture', { user_id: 'bob' });
  await differs('without the avatar it is another picture', { ip_adapter_scale: 0 });
  await differs('without the LoRA it is another picture', { loras: [] });
  await remember(service, 'API, drawing');
}

/** @param {Service} service */
async function end(service) {
  const ended = /** @type {Promise<[number | null, string | null]>} */ (once(service.child, 'exit'));
  service.child.kill('SIGTERM');
  const [code, signal] = await timed('SIGTERM until the end', () => ended);
  expect(code === 0, 'SIGTERM ends it in order', signal ?? `exit code ${code}`);
}

// --- looking at it ---

/**
 * Reads /health/ready until `done`; gives back each reason that it told, and adds the seconds of what went on.
 *
 * @param {Service} service
 * @param {string} who
 * @param {(state: Record<string, string | number | boolean>) => boolean | Promise<boolean>} done
 */
async function follow(service, who, done) {
  const last = performance.now() + MINUTES * 60_000;
  const told = new Set(['']);
  let since = performance.now();
  for (;;) {
    const state = await health(service);
    const reason = String(state.reason ?? '');
    told.add(reason);
    await remember(service, who);
    if (await done(state)) return [...told];
    await sleep(50);
    const now = performance.now();
    const phase = PHASES.find(([begin]) => begin.test(reason))?.[1];
    if (phase) seconds[phase] = (seconds[phase] ?? 0) + (now - since) / 1000;
    since = now;
    if (now > last) throw new Error(`Not there after ${MINUTES} minutes: ${reason}`);
  }
}

/** @param {Service} service @param {string} who */
async function remember(service, who) {
  memory[who] = (await residentMb(service.child.pid, 'VmHWM')) / 1000;
  const engine = service.enginePid();
  if (engine) memory.engine = (await residentMb(engine, 'VmHWM')) / 1000;
}

/** @param {string} line */
function onLine(line) {
  if (/"level":"?(warn|error|40|50)|Downloading|Verifying|Ready/.test(line)) console.log(`        ${line}`);
}

/** @param {Service} service @param {Record<string, unknown> & { size: string }} options */
async function picture(service, options) {
  const drawn = await service.draw('memory', options);
  const seen = `${options.size}: ${(drawn.wall / 1000).toFixed(1)} s`;
  console.log(`        ${seen} ${JSON.stringify(drawn.timings)}`);
  return { ...drawn, png: await service.png(drawn) };
}
