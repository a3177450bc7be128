/**
 * Requests made from /openapi.json, right and wrong ones, and every answer held against that document: schemathesis on the
 * built service with the real engine. Its settings, and what is off and why, are in checks/schemathesis.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from '../bench/support/arguments.mjs';
import { atEnd, benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { DEMO, fixtureFile, fixturePng, startService } from '../bench/support/service.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const SETTINGS = join(HERE, 'schemathesis');
const REQUIREMENTS = join(SETTINGS, 'requirements.txt');
const INSTALLED = join(HERE, '../node_modules/.cache/schemathesis');

/** The first is the document's example. */
const STAYING = ['user123', 'ann'];
const LEAVING = ['bob', 'eve'];
const PICTURES = ['panda-on-purple', 'cake-on-green'];

const {
  seed,
  seconds,
  examples,
  once: single,
  key,
  only,
} = readArguments('Fuzzing of the API by its document.', {
  seed: { about: 'of the requests', default: 1 },
  seconds: { about: 'how long; new requests are made until then', default: 600 },
  examples: { about: 'requests to each operation in each round', default: 50 },
  once: { about: 'one round, however long it takes', default: false },
  key: { about: 'a key: the service wants one, and requests carry it', default: '' },
  only: { about: 'a regular expression of paths: no others', default: '' },
});

/** Addresses in requests lead to this machine. */
const SERVICE = {
  ...DEMO,
  WEBHOOK_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}`,
  WEBHOOK_URL_ALLOW: '127.0.0.1',
  REFERENCE_URL_ALLOW: '127.0.0.1',
  RATE_LIMIT_PER_ADDRESS: '0',
  RATE_LIMIT_PER_KEY: '0',
};

await benchmark(async () => {
  await install();
  /** @type {string[]} */
  const defects = [];
  /** @type {Record<string, string>} */
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const variables = { ...SERVICE, ...(key && { API_KEYS: keyList(key) }) };
  const service = await startService(variables, {
    headers,
    onLine: (line) => void (isDefect(line) && defects.push(line)),
  });
  const known = { seed, ...(await fill(service)), address: await listen() };
  const tally = join(await temporaryFolder(), 'tally.json');
  const passed = await schemathesis(service.url, {
    SCHEMATHESIS_HOOKS: join(SETTINGS, 'hooks.py'),
    FUZZ_KNOWN: JSON.stringify(known),
    FUZZ_TALLY: tally,
  });
  await report(tally);
  if (defects.length > 0)
    console.log(`Errors in the service's log, the first of them:\n${defects.slice(0, 10).join('\n')}`);
  const alive = service.child.exitCode === null && service.child.signalCode === null;
  const met = passed && alive && defects.length === 0;
  return verdict('0 undocumented 5xx, 0 answers outside the document', met);
});

/**
 * Answers are judged where they arrive, and what the engine says of a cancelled picture is no defect.
 *
 * @param {string} line
 */
function isDefect(line) {
  return /"level":[56]0\b/.test(line) && !/"res":|"context":"Engine /.test(line);
}

/** Once for each version of the requirements. Not a virtual environment: Debian's Python cannot make one by itself. */
async function install() {
  const wanted = await readFile(REQUIREMENTS, 'utf8');
  const mark = join(INSTALLED, 'requirements.txt');
  if ((await readFile(mark, 'utf8').catch(() => '')) === wanted) return;
  await rm(INSTALLED, { recursive: true, force: true });
  const options = ['--quiet', '--only-binary=:all:', '--target', INSTALLED, '-r', REQUIREMENTS];
  if (!(await python(['-m', 'pip', 'install', ...options], { PIP_ROOT_USER_ACTION: 'ignore' }))) {
    throw new Error('schemathesis is not installed: it needs Python 3.11 or newer with pip (python3-pip)');
  }
  await writeFile(mark, wanted);
}

/** Where addresses in requests lead to: it answers with a picture, and takes webhooks. */
async function listen() {
  const png = await fixturePng(PICTURES[0]);
  const server = createServer((request, response) => void (request.resume(), response.end(png)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => Promise.resolve(server.close()));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return `http://127.0.0.1:${port}`;
}

/**
 * What requests can name, so that more than 404s come of them; some of it, requests may remove.
 *
 * @param {import('../bench/support/service.mjs').Service} service
 */
async function fill(service) {
  for (const user of [...STAYING, ...LEAVING]) {
    await service.putPicture(user, 'avatar', PICTURES[0]);
    await service.putPicture(user, 'photo', PICTURES[1]);
  }
  const options = { prompt: 'a fox', num_inference_steps: 1, guidance_scale: 1, size: '64x64' };
  const [picture, leaving] = [
    await service.draw('generations', options),
    await service.draw('generations', options),
  ];
  const keyOf = (/** @type {typeof picture} */ { data }) =>
    new URL(data[0].url).pathname.replace('/images/', '');
  const failing = await service.submit('generations', { ...options, deadline_seconds: 1 });
  const cancelled = await service.submit('generations', options);
  await service.cancel(cancelled);
  const jobs = [picture.id, failing, cancelled];
  const list = (await service.get('/v1/jobs?limit=1')).body.toString();
  const page = /** @type {{ next_cursor: string }} */ (JSON.parse(list));
  return {
    files: PICTURES.map(fixtureFile),
    staying: { user_id: STAYING, id: jobs, key: [keyOf(picture)] },
    leaving: { user_id: LEAVING, id: [cancelled, leaving.id], key: [keyOf(leaving)] },
    lora: 'night',
    cursor: page.next_cursor,
  };
}

/**
 * @param {string} url
 * @param {Record<string, string>} variables
 */
function schemathesis(url, variables) {
  const bounds = single ? [] : [`--max-time=${seconds}`];
  const bearer = key ? ['-H', `Authorization: Bearer ${key}`] : [];
  return python(
    [
      ...['-c', 'from schemathesis.cli import schemathesis; schemathesis()'],
      ...['--config-file', join(SETTINGS, 'schemathesis.toml')],
      ...[
        'run',
        `${url}/openapi.json`,
        `--seed=${seed}`,
        `--max-examples=${examples}`,
        ...(only ? [`--include-path-regex=${only}`] : []),
        ...bounds,
        ...bearer,
      ],
    ],
    variables,
  );
}

/**
 * Resolves to whether it ended well.
 *
 * @param {string[]} options
 * @param {Record<string, string>} variables
 */
async function python(options, variables) {
  const child = spawn('python3', options, {
    cwd: await temporaryFolder(), // it leaves files where it runs
    env: { ...process.env, PYTHONPATH: INSTALLED, PYTHONDONTWRITEBYTECODE: '1', ...variables },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  atEnd(() => Promise.resolve(child.kill()));
  const [code] = await once(child, 'exit');
  return code === 0;
}

/** @param {string} text the key of a caller that may do everything */
function keyList(text) {
  const sha256 = createHash('sha256').update(text).digest('hex');
  return JSON.stringify([{ name: 'fuzz', sha256, scopes: ['draw', 'read', 'users'] }]);
}

/**
 * How often each operation answered what.
 *
 * @param {string} file numbers by operation, status and code, with tabs between them
 */
async function report(file) {
  /** @type {Record<string, number>} */
  const tally = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')); // none: it did not get that far
  for (const [what, count] of Object.entries(tally).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [operation, status, code] = what.split('\t');
    console.log(`${String(count).padStart(6)}  ${operation.padEnd(32)} ${status} ${code}`);
  }
}
