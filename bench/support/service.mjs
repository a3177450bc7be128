/** The built service for benchmarks and checks: a temporary DATA_DIR, and nothing left behind, however they end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceProcess } from '../../test/support/service.process.js';
import { atEnd, temporaryFolder } from './benchmark.mjs';
import { client } from './service.client.mjs';

export { DEMO } from '../../test/support/service.process.js';
export { fixtureFile, fixturePng } from './service.client.mjs';

/** @typedef {Awaited<ReturnType<typeof startService>>} Service */
/** @typedef {import('./service.client.mjs').Answer} Answer */
/** @typedef {import('./service.client.mjs').Timings} Timings */
/** @typedef {import('./service.client.mjs').Picture} Picture */
/** @typedef {import('./service.client.mjs').Job} Job */

/** For an orderly end, in milliseconds; then the process is killed, and its engine dies with it. */
const PATIENCE = 15_000;

/**
 * Starts the service and resolves once it takes pictures, or with `ready: false` once it listens.
 *
 * @param {Record<string, string>} variables
 * @param {import('../../test/support/service.process.js').StartOptions & { ready?: boolean, minutes?: number,
 *   folder?: string, headers?: Record<string, string> }} [options] `minutes`: longest wait for the model; `folder`:
 *   DATA_DIR, else a new one; `headers` go with every request
 */
export async function startService(variables, { ready = true, minutes = 3, headers, ...options } = {}) {
  const DATA_DIR = options.folder ?? (await temporaryFolder());
  const server = await ServiceProcess.start({ DATA_DIR, ...variables }, options);
  atEnd(async () => {
    const timer = setTimeout(() => server.child.kill('SIGKILL'), PATIENCE);
    await server.stop();
    clearTimeout(timer);
  });
  const { child, url } = server;
  const service = {
    ...{ child, url, killGroup: () => server.killGroup(), enginePid: () => server.enginePid },
    stop: () => server.stop(),
    ...client(url, headers),
  };
  if (ready) await Promise.race([untilReady(service, minutes), server.ended]);
  return service;
}

/** @param {{ get(path: string): Promise<Answer> }} service */
export async function health(service) {
  const { body } = await service.get('/health/ready');
  const report = /** @type {{ details: { pipeline: Record<string, string | number | boolean> } }} */ (
    JSON.parse(body.toString())
  );
  return report.details.pipeline;
}

/**
 * @param {{ get(path: string): Promise<Answer> }} service
 * @param {number} minutes
 */
async function untilReady(service, minutes) {
  const last = performance.now() + minutes * 60_000;
  for (;;) {
    const { state, status, reason } = await health(service);
    if (status === 'up') return;
    if (state === 'failed') throw new Error(`The service cannot draw: ${reason}`);
    if (performance.now() > last) throw new Error(`Not ready after ${minutes} minutes: ${reason ?? state}`);
    await sleep(100);
  }
}

/**
 * The time in the engine, in milliseconds: the call of generate_image where the reply tells it, else the sum of its
 * four phases, which are rounded to milliseconds and may miss it by 2.
 *
 * @param {Timings} timings
 */
export const engineTime = ({ engine_ms, text_ms, image_ms, sampling_ms, decode_ms }) =>
  engine_ms ?? text_ms + image_ms + sampling_ms + decode_ms;
