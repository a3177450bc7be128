'use strict';
/**
 * Stands in for apps/engine where the jobs are measured and not the pictures: speaks its messages, and tells each step of
 * a grey picture at once.
 */
/** @typedef {import('../../libs/pipeline/engine.protocol').EngineCommand} EngineCommand */
/** @typedef {import('../../libs/pipeline/engine.protocol').EngineEvent} EngineEvent */

/** @type {(event: EngineEvent) => void} */
const say = (event) => void process.send?.(event);

const gpu = process.env.CUDA_VISIBLE_DEVICES;
const device = { name: gpu ? `CUDA${gpu}` : 'CPU', gpu: gpu !== undefined, description: 'stand-in' };
const settings = { flashAttention: false, vaeDirectConvolution: false, unetDirectConvolution: false };
const timings = { text: 0, image: 0, sampling: 0, decode: 0, engine: 0 };

/** @param {EngineCommand & { type: 'open' }} command */
function open({ heartbeat }) {
  const version = { source: 'prebuilt cpu', commit: '', version: 'stand-in', system: '' };
  say({ type: 'opened', version, devices: [device], backEnds: [] });
  say({ type: 'chosen', device });
  setInterval(() => say({ type: 'alive' }), heartbeat);
}

/** @param {EngineCommand & { type: 'generate' }} command */
function draw({ id, options: { width, height, steps } }) {
  say({ type: 'progress', id, progress: { phase: 'text', step: 0, steps } });
  for (let step = 0; step <= steps; step++)
    say({ type: 'progress', id, progress: { phase: 'sampling', step, steps } });
  say({ type: 'progress', id, progress: { phase: 'decoding', step: steps, steps } });
  say({ type: 'drawn', id });
  const pixels = Buffer.alloc(width * height * 3, 128);
  say({
    type: 'generated',
    id,
    picture: { pixels, width, height, loras: [], timings, decodedInTiles: false },
  });
}

process.on('message', (message) => {
  const command = /** @type {EngineCommand} */ (message);
  if (command.type === 'open') open(command);
  else if (command.type === 'load') say({ type: 'loaded', info: { settings, hasIpAdapter: false } });
  else if (command.type === 'generate') draw(command);
});
process.on('disconnect', () => process.exit());
