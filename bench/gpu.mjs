/** Speed and memory of full SDXL on a GPU, through the service. The weights are random: they take the same time. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readArguments } from './arguments.mjs';
import { benchmark, temporaryFolder } from './benchmark.mjs';
import { writeRandomSdxl } from './random.sdxl.mjs';
import { engineTime, health, startService } from './service.mjs';
import { quantile } from './statistics.mjs';

const run = promisify(execFile);
/** The first start on a card compiles the engine's kernels for it. */
const LOAD_MINUTES = 20;

const { pictures, size, steps, channels, seed, cpu } = readArguments('SDXL with random weights on a GPU.', {
  pictures: { about: 'pictures, one after the other', default: 3 },
  size: { about: 'their side in pixels', default: 1024 },
  steps: { about: 'their sampling steps', default: 30 },
  channels: { about: "the UNet's model_channels, a multiple of 32; 320 is SDXL", default: 320 },
  seed: { about: 'of the weights', default: 1 },
  cpu: { about: 'try the script on a machine without a GPU', default: false },
});

await benchmark(async () => {
  const missing = cpu ? undefined : await whyNoGpu();
  if (missing) {
    console.error(`No GPU to measure: ${missing}.`);
    return 2;
  }
  if (channels % 32 !== 0)
    throw new Error(`Expected a multiple of 32 for --channels but received ${channels}`);

  const model = join(await temporaryFolder(), 'random-sdxl.safetensors');
  const writing = performance.now();
  const bytes = await writeRandomSdxl(model, { channels, seed });
  console.log(`Checkpoint: ${(bytes / 1e9).toFixed(2)} GB, written in ${since(writing)} s`);

  const before = cpu ? undefined : await usedVram();
  const loading = performance.now();
  const variables = {
    MODEL_FILE: model,
    ENABLE_IP_ADAPTER: 'false',
    REQUIRE_GPU: String(!cpu),
  };
  const service = await startService(variables, { minutes: LOAD_MINUTES });
  const { device, description } = await health(service);
  console.log(`Device: ${device} (${description}), ready after ${since(loading)} s`);

  const vram = cpu ? undefined : watchVram();
  const sampling = [];
  const wall = [];
  for (let i = 1; i <= pictures; i++) {
    const picture = await service.draw('generations', {
      prompt: 'a lighthouse on a cliff, watercolour',
      size: `${size}x${size}`,
      num_inference_steps: steps,
      seed: i,
    });
    const { timings } = picture;
    sampling.push(timings.sampling_ms);
    wall.push(picture.wall);
    console.log(
      `Picture ${i}: ${seconds(picture.wall)} s; engine ${seconds(engineTime(timings))} s ` +
        `(text ${timings.text_ms} ms, sampling ${timings.sampling_ms} ms, decoding ${timings.decode_ms} ms)`,
    );
  }
  const rate = (steps * 1000) / quantile(sampling, 0.5);
  console.log(`\nMedian: ${rate.toFixed(2)} steps/s, ${seconds(quantile(wall, 0.5))} s a picture`);
  if (vram) console.log(`VRAM: ${await vram()} MiB at most, ${before} MiB before the service started`);
  return 0;
});

/** The engine is asked and not the driver: a CPU engine on a machine with a GPU draws on the CPU. */
async function whyNoGpu() {
  const list = 'JSON.stringify(require("./native").devices())';
  try {
    const { stdout } = await run(process.execPath, ['-p', list], { cwd: join(import.meta.dirname, '..') });
    const devices = /** @type {{ name: string, gpu: boolean }[]} */ (JSON.parse(stdout));
    if (devices.some(({ gpu }) => gpu)) return undefined;
    return `the engine finds only ${devices.map(({ name }) => name).join(', ') || 'nothing'}`;
  } catch {
    return 'the engine does not load (npm run engine)';
  }
}

/** MiB in use on the first GPU, by whomever. */
async function usedVram() {
  const { stdout } = await run('nvidia-smi', [
    '--query-gpu=memory.used',
    '--format=csv,noheader,nounits',
    '-i',
    '0',
  ]);
  return Number(stdout);
}

/** Looks four times a second; the returned function stops it and tells the most that was seen. */
function watchVram() {
  let most = 0;
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    looking = usedVram().then((used) => void (most = Math.max(most, used)));
  }, 250);
  return async () => {
    clearInterval(timer);
    await looking;
    return most;
  };
}

/** @param {number} milliseconds */
function seconds(milliseconds) {
  return (milliseconds / 1000).toFixed(1);
}

/** @param {number} moment */
function since(moment) {
  return seconds(performance.now() - moment);
}
