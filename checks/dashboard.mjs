/**
 * The Grafana dashboard with live data: a service under a mixed load is scraped by a real Prometheus, each panel's queries
 * are asked there, and the answers drawn. Fails where a panel has none. (Grafana itself is not needed; the picture is near
 * to what it draws.)
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { atEnd, benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { freePorts, WebhookReceiver } from '../bench/support/real.servers.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { drawDashboard } from './dashboard/drawing.mjs';

const DASHBOARD = new URL('../deploy/grafana/dashboard.json', import.meta.url);
const RATE = '15s';
const STEP = 2;
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 2, guidance_scale: 1 };
const TOO_LATE = { num_inference_steps: 90, deadline_seconds: 1 };
/** A card, as its tool tells it: GPUs are not what this is about. */
const NVIDIA_SMI =
  '#!/bin/sh\necho "0, GPU-0, $((9000 + $(date +%s) % 60 * 100)), 81559, $((40 + $(date +%s) % 50)), 61"\n';

const { seconds, file } = readArguments('The dashboard with live data, as a picture.', {
  seconds: { about: 'of load', default: 90 },
  file: { about: 'the picture', default: 'data/dashboard.png' },
});

/** @typedef {import('../bench/support/service.mjs').Service} Service */
/** @typedef {{ type: string, title: string, gridPos: import('./dashboard/drawing.mjs').Panel['gridPos'],
 *   fieldConfig?: { defaults?: { unit?: string } }, targets?: { expr: string, legendFormat: string }[] }} JsonPanel */

await benchmark(async () => {
  const bin = await temporaryFolder();
  await writeFile(join(bin, 'nvidia-smi'), NVIDIA_SMI);
  await chmod(join(bin, 'nvidia-smi'), 0o755);
  const receiver = await WebhookReceiver.start();
  atEnd(() => receiver.stop());
  const folder = await temporaryFolder();
  const variables = {
    ...{ ...DEMO, PATH: bin + delimiter + process.env.PATH, REFERENCE_URL_ALLOW: '127.0.0.1' },
    ...{ WEBHOOK_URL_ALLOW: '127.0.0.1', WEBHOOK_SECRET: `whsec_${randomBytes(32).toString('base64')}` },
  };
  const service = await startService(variables, { folder });
  const prometheus = await startPrometheus(new URL(service.url).host);
  const from = Date.now() / 1000;
  await load(service, { folder, receiver: receiver.url, until: from + seconds });
  const to = Date.now() / 1000;

  const { panels } = /** @type {{ panels: JsonPanel[] }} */ (JSON.parse(readFileSync(DASHBOARD, 'utf8')));
  const answered = [];
  for (const panel of panels) {
    const series = [];
    for (const target of panel.targets ?? []) series.push(...(await ask(prometheus, target, from, to)));
    const unit = panel.fieldConfig?.defaults?.unit ?? 'short';
    answered.push({ panel: { ...panel, unit }, series });
  }
  await mkdir(join(file, '..'), { recursive: true });
  await drawDashboard(answered, { from, to, file });
  const silent = answered.filter(({ panel, series }) => panel.type !== 'row' && series.length === 0);
  console.log(
    `\n${panels.length} panels in ${file}; without data: ${silent.map(({ panel }) => panel.title).join(', ') || 'none'}`,
  );
  const examples = await jobsNamed(prometheus, from, to);
  console.log(`Exemplars of image_job_duration_seconds name ${examples} jobs`);
  return verdict('each panel has data, and exemplars name jobs', silent.length === 0 && examples > 0);
});

/**
 * Images that succeed, are cancelled, come too late and wait; a webhook, a reference picture, an event stream, an engine
 * that dies, a disk that takes nothing.
 *
 * @param {Service} service
 * @param {{ folder: string, receiver: string, until: number }} options
 */
async function load(service, { folder, receiver, until }) {
  const picture = await serve((_, response) => response.end(readFileSync('test/fixtures/cake-on-green.png')));
  void fetch(
    `${service.url}/v1/jobs/${await service.submit('generations', { ...SMALL, num_inference_steps: 90 })}/events`,
  )
    .then((response) => response.text())
    .catch(() => {});
  for (let n = 0; Date.now() / 1000 < until; n++) {
    const options = { ...SMALL, seed: n, ...(n % 3 === 0 && { webhook_url: receiver }) };
    const reference = n % 4 === 0 ? { reference_image_url: picture } : {};
    // None while the disk takes nothing.
    const id = await service.submit('generations', { ...options, ...reference }).catch(() => undefined);
    if (n % 7 === 3 && id) await service.send('DELETE', `/v1/jobs/${id}`);
    if (n % 9 === 5) await service.submit('generations', { ...SMALL, ...TOO_LATE });
    if (n === 30) await breakDisk(folder);
    if (n === 20) process.kill(/** @type {number} */ (service.enginePid()), 'SIGKILL');
    await service.get('/v1/jobs/nothing');
    await sleep(700 + 600 * Math.sin(n / 5));
  }
}

/**
 * For as long as some images take.
 *
 * @param {string} folder DATA_DIR
 */
async function breakDisk(folder) {
  const temporary = join(folder, '.tmp');
  await rename(temporary, `${temporary}.away`);
  await writeFile(temporary, '');
  setTimeout(() => void rm(temporary).then(() => rename(`${temporary}.away`, temporary)), 4_000);
}

/** @param {import('node:http').RequestListener} listener */
async function serve(listener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => Promise.resolve(void server.close()));
  return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`;
}

/** @param {string} target HOST:PORT */
async function startPrometheus(target) {
  const folder = await temporaryFolder();
  const config = join(folder, 'prometheus.yml');
  const scrape = [{ job_name: 'images', scrape_interval: '1s', static_configs: [{ targets: [target] }] }];
  await writeFile(config, JSON.stringify({ scrape_configs: scrape }));
  const [port] = await freePorts(1);
  const child = spawn(
    'prometheus',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
    ],
    { stdio: 'ignore' },
  );
  atEnd(async () => {
    child.kill();
    await once(child, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  for (let n = 0; n < 100; n++) {
    if (
      await fetch(`${url}/-/ready`).then(
        (response) => response.ok,
        () => false,
      )
    )
      return url;
    await sleep(200);
  }
  throw new Error('Prometheus does not start (apt-get install prometheus)');
}

/**
 * How many jobs a histogram leads to.
 *
 * @param {string} prometheus
 * @param {number} start
 * @param {number} end
 */
async function jobsNamed(prometheus, start, end) {
  const query = 'image_job_duration_seconds_bucket';
  const parameters = new URLSearchParams({ query, start: String(start), end: String(end) });
  const response = await fetch(`${prometheus}/api/v1/query_exemplars?${parameters.toString()}`);
  const { data } = /** @type {{ data: { exemplars: { labels: Record<string, string> }[] }[] }} */ (
    await response.json()
  );
  return new Set(data.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.job_id))).size;
}

/**
 * @param {string} prometheus
 * @param {{ expr: string, legendFormat: string }} target
 * @param {number} start
 * @param {number} end
 * @returns {Promise<import('./dashboard/drawing.mjs').Series[]>}
 */
async function ask(prometheus, { expr, legendFormat }, start, end) {
  const query = expr
    .replaceAll('$__rate_interval', RATE)
    .replaceAll('[15m]', `[${seconds}s]`)
    .replaceAll(/\$(job|instance)/g, '.*');
  const parameters = new URLSearchParams({
    query,
    start: String(start),
    end: String(end),
    step: String(STEP),
  });
  const response = await fetch(`${prometheus}/api/v1/query_range?${parameters.toString()}`);
  const answer =
    /** @type {{ error?: string, data: { result: { metric: Record<string, string>,
     *   values: [number, string][] }[] } }} */ (await response.json());
  if (!response.ok) throw new Error(`${expr}: ${answer.error}`);
  return answer.data.result
    .map(({ metric, values }) => ({
      name: legendFormat.replaceAll(
        /\{\{(\w+)\}\}/g,
        (_, /** @type {string} */ label) => metric[label] ?? '',
      ),
      points: values
        .map(([time, value]) => /** @type {[number, number]} */ ([time, Number(value)]))
        .filter(([, value]) => Number.isFinite(value)),
    }))
    .filter(({ points }) => points.length > 0);
}
