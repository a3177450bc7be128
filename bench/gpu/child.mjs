/**
 * The process that holds the engine for gpu/engine.mjs: it may abort, hang or be killed, and takes nothing with it. One
 * message in, one out. The engine's log goes to standard error, which outlives an abort.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** @typedef {import('../../native/index.js')} Addon */
/** @typedef {import('../../native/index.js').LoadOptions} LoadOptions */
/** @typedef {import('../../native/index.js').GenerateOptions} GenerateOptions */
/** @typedef {'facts' | { load: LoadOptions } | { draw: GenerateOptions, avatar: boolean, pixels?: boolean }} Call */

const addon = openAddon();
/** What the engine says of its memory, in MB: of the weights once, of the buffers that it computes in at every use. */
const WEIGHTS = /prepared params backend buffers \((\d+\.\d+) MB, .*, VRAM\)/;
const BUFFER = /compute buffer size: (\d+\.\d+) MB\(VRAM\)/;

/** @type {import('../../native/index.js').Session | undefined} */
let session;
const own = { weights: 0, buffer: 0 };

addon.dieWithParent();
addon.onLog((level, line) => {
  own.weights += Number(WEIGHTS.exec(line)?.[1] ?? 0);
  own.buffer = Math.max(own.buffer, Number(BUFFER.exec(line)?.[1] ?? 0));
  if (level !== 'debug' && line.trim()) process.stderr.write(`${level}: ${line.trimEnd()}\n`);
});

process.on('message', (/** @type {Call} */ call) => {
  const started = performance.now();
  const tell = (/** @type {object} */ answer) =>
    process.send?.({ seconds: (performance.now() - started) / 1000, ...memory(), ...answer });
  answerTo(call).then(tell, (/** @type {Error & { code?: string }} */ { code, message }) =>
    tell({ code: code ?? 'error', message }),
  );
});

/** @returns {Addon} */
function openAddon() {
  try {
    return createRequire(import.meta.url)('../../native/index.js');
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n`);
    process.exit(1);
  }
}

/** @param {Call} call @returns {Promise<object>} */
async function answerTo(call) {
  if (call === 'facts') {
    return { devices: addon.devices(), backEnds: addon.backEnds(), version: addon.engineVersion() };
  }
  if ('load' in call) {
    session = await addon.Session.load(call.load);
    return {};
  }
  if (!session) throw new Error('nothing is loaded');
  own.buffer = 0;
  const reference = call.avatar ? { pixels: avatar(), strength: 0.6 } : undefined;
  const picture = await session.generate({ ...call.draw, reference });
  const { timings, loras, decodedInTiles } = picture;
  const pixels = call.pixels ? picture.pixels.toString('base64') : undefined;
  const bytes = createHash('sha256').update(picture.pixels).digest('hex');
  return { timings, loras, decodedInTiles, bytes, pixels };
}

/** A reference picture with something in it: stripes. */
const avatar = () => Buffer.from(Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * 7) % 251));

/** MiB, by the engine and by the kernel. */
function memory() {
  const rss = /VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return { engineMib: Math.round(own.weights + own.buffer), rssMib: Math.round(Number(rss) / 1024) };
}
