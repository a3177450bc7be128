/** Whether memory grows: many small pictures in a row, and what the API and the engine hold after each. */
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './support/arguments.mjs';
import { benchmark, verdict } from './support/benchmark.mjs';
import { residentMb } from './support/observe.mjs';
import { DEMO, startService } from './support/service.mjs';
import { trend } from './support/statistics.mjs';

/** The first quarter fills caches and pools; the trend is that of the rest. */
const WARM_UP = 0.25;
const USER = 'bench';

const { pictures } = readArguments('Trend of memory over many pictures.', {
  pictures: { about: 'pictures in a row, at least 16; the trend leaves out the first quarter', default: 200 },
});

const small = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 1 };
/** In turn, so that every way through the service is walked. */
/** @type {['generations' | 'memory', Record<string, unknown>][]} */
const REQUESTS = [
  ['generations', small],
  ['memory', { ...small, user_id: USER }],
  ['generations', { ...small, loras: [{ name: 'night' }] }],
];

/** What is measured, in MB, and how it is called. */
const SERIES = {
  heap: 'API: live heap',
  buffers: 'API: memory outside the heap (buffers)',
  rss: 'engine: RSS',
};
/** @typedef {Record<keyof typeof SERIES, number>} Sample */

await benchmark(async () => {
  if (pictures < 16) throw new Error('Expected at least 16 for --pictures');
  const probe = join(import.meta.dirname, 'heap.probe.cjs');
  const service = await startService(DEMO, {
    nodeArguments: ['--expose-gc', '--require', probe],
    ipc: true,
  });
  await service.putPicture(USER, 'avatar', 'panda-on-purple');
  const engine = service.enginePid();
  if (engine === undefined) throw new Error('The API has no engine process');

  /** @type {Sample[]} */
  const samples = [];
  for (let i = 0; i < pictures; i++) {
    await service.draw(...REQUESTS[i % REQUESTS.length]);
    // Rejects when the process is gone: an engine that crashed and came back is no soak.
    samples.push({ ...(await apiMemory(service.child)), rss: await residentMb(engine) });
    if (process.stderr.isTTY) process.stderr.write(`\r${i + 1} of ${pictures} `);
  }

  const trends = Object.keys(SERIES).map((name) => report(/** @type {keyof Sample} */ (name), samples));
  console.log(`\nSamples: ${await writeCsv(samples)}`);
  return verdict(
    'no interval lies above 0',
    trends.every(({ low }) => low <= 0),
  );
});

/**
 * @param {keyof Sample} name
 * @param {Sample[]} samples
 */
function report(name, samples) {
  const values = samples.map((sample) => sample[name]);
  const kept = values.slice(Math.round(values.length * WARM_UP));
  const fit = trend(kept);
  const [slope, low, high] = [fit.slope, fit.low, fit.high].map((mb) => (mb * 1024).toFixed(2));
  const zero = fit.low <= 0 && fit.high >= 0 ? 'includes 0' : fit.low > 0 ? 'lies ABOVE 0' : 'lies below 0';
  const [first, last, min, max] = [
    values[0],
    values[values.length - 1],
    Math.min(...values),
    Math.max(...values),
  ];
  console.log(`\n${SERIES[name]}`);
  console.log(
    `  first ${first.toFixed(1)}, last ${last.toFixed(1)}, min ${min.toFixed(1)}, max ${max.toFixed(1)} MB`,
  );
  console.log(
    `  slope over the last ${kept.length}: ${slope} KB a picture, 95 % interval ${low} .. ${high}: ${zero}`,
  );
  console.log(`  autocorrelation of the residuals ${fit.autocorrelation.toFixed(2)}`);
  return fit;
}

/**
 * What is alive in the API after a forced collection.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
async function apiMemory(child) {
  const answer = once(child, 'message');
  child.send('memory');
  const [{ heapUsed, external }] = /** @type {{ heapUsed: number, external: number }[]} */ (await answer);
  return { heap: heapUsed / 2 ** 20, buffers: external / 2 ** 20 };
}

/** @param {Sample[]} samples */
async function writeCsv(samples) {
  // Kept after the end, unlike everything else: it is the result.
  const path = join(await mkdtemp(join(tmpdir(), 'soak-')), 'soak.csv');
  const lines = samples.map(({ heap, buffers, rss: resident }, i) =>
    [i + 1, REQUESTS[i % REQUESTS.length][0], ...[heap, buffers, resident].map((mb) => mb.toFixed(4))].join(
      ',',
    ),
  );
  await writeFile(path, ['picture,route,heap_mb,buffers_mb,engine_rss_mb', ...lines, ''].join('\n'));
  return path;
}
