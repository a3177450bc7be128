/** Machines with NVIDIA's cards: the whole service and the pinned engine over the CUDA stand-in, SDXL at its full size. */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CudaCards, MIB } from '../../test/support/cuda.cards.js';
import { buildCudaStandin, EngineTree } from '../../test/support/engine.tree.js';
import { temporaryFolder } from '../../bench/support/benchmark.mjs';
import { makeWeights } from '../../bench/weights/weights.mjs';
import { startService } from '../../bench/support/service.mjs';

export { MIB };

/**
 * @typedef {{ files: import('../../bench/weights/weights.mjs').Weights, start(cards: string, variables?: Record<string, string>,
 *   options?: { ready?: boolean, taken?: number, onLine?: (line: string) => void }): Promise<Running> }} Machine `cards` as
 *   in CUDA_STANDIN_CARDS; `taken`: bytes that another program holds before the load; `onLine` gets each line of the log
 * @typedef {{ service: import('../../bench/support/service.mjs').Service, books: CudaCards, stop(): Promise<void>,
 *   draw(kind: Kind, size: string, more?: Record<string, unknown>): Promise<Drawn> }} Running `more` goes into the request
 */
/** @typedef {'text' | 'avatar' | 'avatar + LoRA'} Kind */
/**
 * @typedef {{ status: number, code?: string, message: string, warnings: string[], launches: number, peak: number,
 *   refused: number, uploaded: number, seconds: number }} Drawn what came of a request, and what the card saw meanwhile
 */

export const USER = 'bench';
export const STEPS = 2;

/**
 * Fetches the engine where it is not here, and builds the addon over it: half a minute.
 *
 * @returns {Promise<Machine>}
 */
export async function makeMachine() {
  const folder = await temporaryFolder();
  const tree = new EngineTree(join(folder, 'tree'), 'cuda12', true);
  tree.fetch();
  tree.build();
  buildCudaStandin(tree.libraries);
  const files = await makeWeights(join(folder, 'weights'), { channels: 320, seed: 1, sparse: true });
  const loras = join(folder, 'loras');
  await mkdir(loras);
  await rename(files.lora, join(loras, 'one.safetensors'));
  await rename(files.otherLora, join(loras, 'other.safetensors'));
  const model = {
    ...{ MODEL_PATH: '', MODEL_FILE: files.model, VAE_PATH: files.vae, LORA_DIR: loras },
    ...{ IP_ADAPTER_PATH: files.ipAdapter, CLIP_VISION_PATH: files.clipVision },
  };

  return {
    files,
    async start(cards, variables = {}, { ready = true, taken = 0, onLine } = {}) {
      const own = await mkdtemp(join(folder, 'service-'));
      const books = new CudaCards(`${own}.cards`);
      books.set('taken', taken);
      const all = {
        ...{ ...model, REQUIRE_GPU: 'true', CUDA_STANDIN_CARDS: cards, CUDA_STANDIN_STATE: books.file },
        ...{ LORA_STRICT: 'true', ...variables },
      };
      const service = await startService(all, { folder: own, root: tree.folder, ready, onLine });
      if (ready) await service.putPicture(USER, 'avatar', 'panda-on-purple').catch(() => {});
      const stop = async () => {
        await service.killGroup();
        await rm(own, { recursive: true }); // pictures of noise are large
      };
      const running = { service, books, stop };
      return { ...running, draw: drawer(running) };
    },
  };
}

/**
 * Route and options.
 *
 * @param {Kind} kind
 * @param {string} size
 * @returns {['generations' | 'memory', Record<string, unknown>]}
 */
export function requestOf(kind, size) {
  const options = { prompt: 'on a hill', size, num_inference_steps: STEPS, seed: 7 };
  const loras = kind === 'avatar + LoRA' ? [{ name: 'one', scale: 1 }] : [];
  return kind === 'text' ? ['generations', options] : ['memory', { ...options, user_id: USER, loras }];
}

/**
 * @param {Pick<Running, 'service' | 'books'>} running
 * @returns {Running['draw']}
 */
function drawer({ service, books }) {
  return async (kind, size, more = {}) => {
    books.set('peak', 0);
    const [before, begun] = [books.read(), performance.now()];
    const [route, options] = requestOf(kind, size);
    const { status, body } = await service.ask(route, { ...options, ...more }, {});
    const after = books.read();
    const { error, warnings = [] } =
      /** @type {{ error?: { code: string, message: string }, warnings?: string[] }} */ (
        JSON.parse(body.toString())
      );
    const seconds = (performance.now() - begun) / 1000;
    return {
      ...{ status, code: error?.code, message: error?.message ?? '', warnings, seconds, peak: after.peak },
      ...{ launches: after.launches - before.launches, refused: after.refused - before.refused },
      uploaded: after.uploaded - before.uploaded,
    };
  };
}

/**
 * @param {() => boolean | Promise<boolean>} condition
 * @param {string} what
 */
export async function until(condition, what, seconds = 120) {
  for (const end = performance.now() + seconds * 1000; !(await condition()); await sleep(50))
    if (performance.now() > end) throw new Error(`Not in ${seconds} s: ${what}`);
}

/**
 * Of a job: how it ended.
 *
 * @param {Pick<Running, 'service'>} running
 * @param {string} id
 */
export async function jobEnd({ service }, id) {
  await until(async () => !['queued', 'running'].includes((await service.job(id)).state), 'the job ends');
  const job =
    /** @type {{ state: string, attempts: number, error: { code: string, message: string } | null,
     *   result: { warnings: string[] } | null }} */ (/** @type {unknown} */ (await service.job(id)));
  return { ...job, warnings: job.result?.warnings ?? [] };
}

/** Kills the engine and waits for the next one. @param {Running} running */
export async function renew({ service }) {
  const old = service.enginePid();
  if (old === undefined) throw new Error('There is no engine to kill');
  process.kill(old, 'SIGKILL');
  const back = async () => {
    const pid = service.enginePid();
    return pid !== undefined && pid !== old && (await service.get('/health/ready')).status === 200;
  };
  await until(back, 'the next engine is ready');
}

/** What readiness tells of the first engine. @param {Pick<Running, 'service'>} running */
export async function engineOf({ service }) {
  const { body } = await service.get('/health/ready');
  const { details } =
    /** @type {{ details: { pipeline: { engines: { memory_plan?: string, state: string, reason?: string }[] } } }} */ (
      JSON.parse(body.toString())
    );
  return details.pipeline.engines[0];
}
