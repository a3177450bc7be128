/**
 * Broken and hostile pictures at every way by which pictures come in: bodies, addresses, and files that another program
 * left in the storage. Nothing is drawn: the jobs that come of it are cancelled.
 */
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { readArguments } from '../bench/support/arguments.mjs';
import { atEnd, benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { residentMb } from '../bench/support/observe.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { hostilePictures } from '../test/support/picture.mutations.js';

/** The largest decode (660), sixteen bodies on their way (320), and the service itself (250); 1231 were seen. */
const MOST_MB = 1300;
/** Pictures that are sent at a time, each to every input. */
const AT_ONCE = 4;

const { count, seed, seconds } = readArguments('Mutated pictures at every picture input of the service.', {
  count: { about: 'pictures', default: 2000 },
  seed: { about: 'of the pictures', default: 1 },
  seconds: { about: 'longest time', default: 7200 },
});

/** @typedef {{ index: number, name: string, bytes: Buffer }} Picture */

await benchmark(async () => {
  const folder = await temporaryFolder();
  const outside = await servePictures();
  const service = await startService({ ...DEMO, REFERENCE_URL_ALLOW: '127.0.0.1' }, { folder });
  const engine = service.enginePid();
  const inputs = inputsOf(service, folder, outside);
  const pictureAt = await hostilePictures(seed);

  /** Answers by input and status. @type {Record<string, Record<string, number>>} */
  const answers = Object.fromEntries(Object.keys(inputs).map((name) => [name, {}]));
  /** @type {string[]} */
  const failures = [];
  const last = performance.now() + seconds * 1000;
  let next = 0;

  const work = async () => {
    while (next < count && performance.now() < last) {
      const index = next++;
      const picture = { index, ...(await pictureAt(index)) };
      const sent = Object.entries(inputs).map(async ([input, send]) => {
        const { status, text } = await send(picture).catch((/** @type {Error} */ error) => ({
          status: 0,
          text: error.cause instanceof Error ? error.cause.message : error.message,
        }));
        answers[input][status] = (answers[input][status] ?? 0) + 1;
        if (status === 0 || status >= 500) {
          failures.push(`${input}, picture ${index} (${picture.name}): ${status} ${text.slice(0, 200)}`);
        }
      });
      await Promise.all(sent);
      if (process.stderr.isTTY) process.stderr.write(`\r${index + 1} of ${count} `);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));

  const alive = service.child.exitCode === null && service.enginePid() === engine;
  const most = await residentMb(service.child.pid, 'VmHWM').catch(() => NaN);
  console.log(`${next} pictures of seed ${seed}. Answers by status:`);
  console.table(answers);
  for (const failure of failures.slice(0, 20)) console.log(failure);
  console.log(`Most memory of the service: ${most.toFixed(0)} MB`);
  console.log(`The service and its engine are the processes that began: ${alive}`);
  const met = failures.length === 0 && alive && most < MOST_MB;
  return verdict(`every answer below 500, no process died, < ${MOST_MB} MB`, met);
});

/**
 * Every way by which a picture comes in; each resolves to the answer.
 *
 * @param {import('../bench/support/service.mjs').Service} service
 * @param {string} folder DATA_DIR
 * @param {Awaited<ReturnType<typeof servePictures>>} outside
 */
function inputsOf(service, folder, outside) {
  /** @param {string} path @param {RequestInit} [init] */
  const call = async (path, init) => {
    const response = await fetch(service.url + path, init);
    return { status: response.status, text: await response.text() };
  };
  /** @param {string} path @param {Picture} picture */
  const put = (path, { bytes }) =>
    call(path, {
      method: 'PUT',
      headers: { 'content-type': 'image/png' },
      body: Uint8Array.from(bytes),
    });
  /** @param {'generations' | 'memory'} route @param {object} options */
  const submit = async (route, options) => {
    const answer = await call(`/v1/images/${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'respond-async' },
      body: JSON.stringify({ prompt: 'a fox', size: '64x64', num_inference_steps: 1, ...options }),
    });
    const { id } = /** @type {{ id?: string }} */ (JSON.parse(answer.text));
    if (answer.status === 202) await call(`/v1/jobs/${id}`, { method: 'DELETE' });
    return answer;
  };
  /** As another program leaves it in the storage. @param {string} user @param {Picture} picture */
  const leave = async (user, { bytes }) => {
    const file = join(folder, 'avatars', `${user}.jpg`);
    await mkdir(join(folder, 'avatars'), { recursive: true });
    await writeFile(file, bytes);
    return () => rm(file, { force: true });
  };
  return {
    /** @param {Picture} picture */
    'PUT avatar': (picture) => put(`/v1/users/put${picture.index % 8}/avatar`, picture),
    /** @param {Picture} picture */
    'PUT photo': (picture) => put(`/v1/users/put${picture.index % 8}/photo`, picture),
    /** @param {Picture} picture */
    reference_image_url: async (picture) =>
      outside.during(picture, (url) => submit('generations', { reference_image_url: url })),
    /** @param {Picture} picture */
    'GET avatar': async (picture) => {
      const user = `get${picture.index}`;
      const remove = await leave(user, picture);
      return call(`/v1/users/${user}/avatar`).finally(remove);
    },
    /** @param {Picture} picture */
    'stored avatar': async (picture) => {
      const user = `memory${picture.index}`;
      const remove = await leave(user, picture);
      return submit('memory', { user_id: user }).finally(remove);
    },
  };
}

/** A stranger's server of pictures. */
async function servePictures() {
  /** @type {Map<string, Buffer>} */
  const pictures = new Map();
  const server = createServer((request, response) => {
    response.on('error', () => {}); // whoever has enough hangs up
    response.end(pictures.get(request.url ?? ''));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    /**
     * @template T
     * @param {Picture} picture
     * @param {(url: string) => Promise<T>} use
     */
    during: async ({ index, bytes }, use) => {
      pictures.set(`/${index}`, bytes);
      return use(`http://127.0.0.1:${port}/${index}`).finally(() => pictures.delete(`/${index}`));
    },
  };
}
