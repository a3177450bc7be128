/**
 * Part 1 of bench:gpu: the engine as the addon drives it, without the service. Needs Node, the built addon and its engine;
 * no packages, no network. Figures are the named device's, whatever it is.
 */
import { join, resolve } from 'node:path';
import { readArguments } from '../support/arguments.mjs';
import { benchmark, temporaryFolder } from '../support/benchmark.mjs';
import { cardOf, cards } from './card.mjs';
import { engineStarter } from './engine.mjs';
import { measure } from './measure.mjs';
import { startReport } from './report.mjs';
import { makeWeights } from '../weights/weights.mjs';

/** @typedef {import('../../native/index.js').Device} Device */

const options = readArguments('SDXL with random weights, by the addon alone.', {
  list: { about: 'only say which back ends and devices there are', default: false },
  device: { about: 'its name, CPU included; else the first GPU of each kind', default: '' },
  minutes: { about: 'for all of it; the most important comes first', default: 12 },
  limit: { about: 'seconds for a picture, or for a load', default: 120 },
  steps: { about: 'sampling steps of a picture', default: 30 },
  size: { about: 'its side in pixels', default: 1024 },
  only: { about: 'groups, such as usual,merged; see gpu/plan.mjs', default: '' },
  out: { about: 'a folder for the results', default: 'gpu-results' },
  weights: { about: 'a folder for 11 GB, which stays; else a temporary one', default: '' },
  python: { about: 'one that has PyTorch, for the peer', default: 'python3' },
  channels: { about: "the UNet's model_channels, a multiple of 32; 320 is SDXL", default: 320 },
  seed: { about: 'of the weights', default: 1 },
  sparse: { about: 'holes as weights: flat pictures, for stand-ins of devices only', default: false },
});

await benchmark(async () => {
  const { channels, size, minutes } = options;
  if (channels % 32) throw new Error(`Expected a multiple of 32 for --channels but received ${channels}`);
  if (size % 64 || size > 4096) throw new Error(`Expected a multiple of 64 for --size but received ${size}`);
  const end = performance.now() + minutes * 60_000;
  const left = () => (end - performance.now()) / 1000;
  const out = resolve(options.out);
  const report = startReport(out);
  const start = engineStarter(join(out, 'engine.log'), {
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID', // as nvidia-smi counts
    GGML_NO_BACKTRACE: '1', // an abort would start a debugger
    // Empty at first: the first picture on a card that the engine holds no machine code for includes its compiling.
    CUDA_CACHE_PATH: join(out, 'cuda-cache'),
    CUDA_CACHE_MAXSIZE: String(2 ** 32),
  });

  const [facts, all] = [await findDevices(start), await cards()];
  const { devices = [], backEnds = [], version } = facts;
  report.tell({ kind: 'about', options, node: process.version, cards: all, devices, backEnds, version });
  if (facts.code || !version) throw new Error(`The engine does not load: ${facts.message}`);
  report.say(`Engine: stable-diffusion.cpp ${version.commit} (${version.version}), ${version.source}`);
  for (const { name, problem, devices } of backEnds)
    report.say(`Back end ${name}: ${problem ?? `${devices} devices`}`);
  for (const { name, description } of devices) report.say(`Device ${name}: ${description}`);
  if (options.list) return 0;
  const chosen = choose(devices, options.device);
  if (!chosen.length) {
    report.say(`No GPU to measure. --device CPU measures the processor.`);
    return 2;
  }

  const writing = performance.now();
  const weights = await makeWeights(resolve(options.weights || (await temporaryFolder())), options);
  const took = ((performance.now() - writing) / 1000).toFixed(1);
  const kind = options.sparse ? 'HOLES: figures mean nothing' : 'random numbers';
  report.say(`Weights: ${(weights.bytes / 1e9).toFixed(1)} GB, ${kind}, there after ${took} s`);

  for (const [i, device] of chosen.entries()) {
    const card = cardOf(device, all, process.env.CUDA_VISIBLE_DEVICES);
    const driver = card ? `, driver ${card.driver}, ${card.mib} MiB` : '';
    report.say(`\n${device.name}: ${device.description}${driver}; ${size}x${size} unless said otherwise`);
    report.tell({ kind: 'device', device, card });
    const share = left() / (chosen.length - i);
    await measure({ device, card, version, weights, start, report, left, share, options });
  }
  report.legend();
  return 0;
});

/** @param {ReturnType<typeof engineStarter>} start */
async function findDevices(start) {
  const engine = await start();
  const facts = await engine.call('facts', options.limit);
  await engine.stop();
  return facts;
}

/**
 * @param {Device[]} devices
 * @param {string} wanted
 */
function choose(devices, wanted) {
  if (wanted) {
    const named = devices.filter(({ name }) => name.toLowerCase() === wanted.toLowerCase());
    if (!named.length)
      throw new Error(`Expected one of ${devices.map(({ name }) => name).join(', ')} for --device`);
    return named;
  }
  // CUDA0 and Vulkan0 of one card are two ways to compute; CUDA0 and CUDA1 of one make tell the same twice.
  const kind = (/** @type {Device} */ { name, description }) => `${name.replace(/\d+$/, '')} ${description}`;
  const gpus = devices.filter(({ gpu }) => gpu);
  return gpus.filter((device, i) => gpus.findIndex((other) => kind(other) === kind(device)) === i);
}
