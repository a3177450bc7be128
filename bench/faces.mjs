/** What it costs to look for faces in uploaded photos: time, memory, and whether the service still says that it lives. */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { readArguments } from './support/arguments.mjs';
import { benchmark, verdict } from './support/benchmark.mjs';
import { observe, residentMb } from './support/observe.mjs';
import { DEMO, fixtureFile, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

const MOST_MS = 700;
const MOST_MB = 300;
const MOST_LIVE_MS = 20;

const { uploads, side } = readArguments(
  'Uploads of a photo of 12 megapixels, with and without FACE_DETECTION.',
  {
    uploads: { about: 'how many, one after the other', default: 15 },
    side: { about: "the portrait's, in the photo of 4000x3000 pixels", default: 1600 },
  },
);

await benchmark(async () => {
  const photo = await photoOf12Megapixels();
  const without = await measure(photo, 'false');
  const found = await measure(photo, 'true');
  const time = found.usual - without.usual;
  const memory = found.detector + found.most - without.most;
  console.log(
    `added: ${time.toFixed(0)} ms, ${memory.toFixed(0)} MB (the detector's most and the server's growth)`,
  );
  const met = time <= MOST_MS && memory <= MOST_MB && found.live <= MOST_LIVE_MS;
  return verdict(`${MOST_MS} ms, ${MOST_MB} MB and live p99 <= ${MOST_LIVE_MS} ms`, met);
});

/** A portrait in a frame of noise: what a phone makes, as far as decoders go. */
async function photoOf12Megapixels() {
  const portrait = await sharp(await readFile(fixtureFile('astronaut')))
    .resize(side)
    .png()
    .toBuffer();
  const noise = { type: /** @type {const} */ ('gaussian'), mean: 130, sigma: 12 };
  return sharp({ create: { width: 4000, height: 3000, channels: 3, background: '#000000', noise } })
    .composite([{ input: portrait, left: 2300, top: 700 }])
    .jpeg({ quality: 90 })
    .toBuffer();
}

/**
 * @param {Buffer} photo
 * @param {'true' | 'false'} FACE_DETECTION
 */
async function measure(photo, FACE_DETECTION) {
  const service = await startService({ ...DEMO, FACE_DETECTION });
  /** @type {number[]} */
  const times = [];
  const all = (async () => {
    for (let i = 0; i < uploads; i++) {
      const began = performance.now();
      const { status, body } = await service.send('PUT', '/v1/users/bench/photo', 'image/jpeg', photo);
      times.push(performance.now() - began);
      if (status !== 200) throw new Error(`${status}: ${body.toString()}`);
    }
  })();
  const { latencies, most } = await observe(service, all);
  const { body } = await service.get('/v1/users/bench/photo?view=info');
  const { face_detection, faces } = /** @type {{ face_detection: string, faces: object[] }} */ (
    JSON.parse(body.toString())
  );
  if (FACE_DETECTION === 'true' && faces.length !== 1) throw new Error(`Found ${faces.length} faces`);
  const detector = await detectorMb(/** @type {number} */ (service.child.pid));
  await service.stop();
  const [first, ...others] = times;
  const usual = quantile(others, 0.5);
  const [live, longest] = [0.99, 1].map((share) => quantile(latencies, share));
  console.log(
    `face detection ${face_detection}: first upload ${first.toFixed(0)} ms, then ${usual.toFixed(0)} (p50), ` +
      `${quantile(others, 1).toFixed(0)} (most); server ${most.toFixed(0)} MB, detector ${detector.toFixed(0)} MB; ` +
      `live p99 ${live.toFixed(1)} ms, most ${longest.toFixed(1)} ms of ${latencies.length}`,
  );
  return { usual, most, detector, live };
}

/**
 * The most that the process which looks for faces ever had; 0: there is none.
 *
 * @param {number} server
 */
async function detectorMb(server) {
  const children = await readFile(`/proc/${server}/task/${server}/children`, 'utf8');
  for (const pid of children.trim().split(' ').map(Number)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    if (command.includes('apps/faces')) return residentMb(pid, 'VmHWM');
  }
  return 0;
}
