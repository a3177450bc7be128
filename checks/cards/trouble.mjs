/** What a kill and many pictures do to an engine, and what a change of LoRAs costs. */
import { verdict } from '../../bench/support/benchmark.mjs';
import { residentMb } from '../../bench/support/observe.mjs';
import { jobEnd, MIB, requestOf, until } from './machine.mjs';
import { KINDS, markdown } from './table.mjs';

/** @typedef {import('./machine.mjs').Machine} Machine */

const mib = (/** @type {number} */ bytes) => Math.round(bytes / MIB).toLocaleString('en');

/** @param {Machine} machine */
export async function kill(machine) {
  const running = await machine.start('Card:24576:8.9', { CUDA_STANDIN_LAUNCH_US: '20' });
  const { service, books } = running;
  const [route, options] = requestOf('avatar + LoRA', '1024x1024');
  const id = await service.submit(route, { ...options, num_inference_steps: 4 });
  await until(async () => ((await service.job(id)).progress?.step ?? 0) > 0, 'draws');
  const [held, pid] = [books.held(), service.enginePid()];
  process.kill(pid ?? 0, 'SIGKILL');
  const begun = performance.now();
  await until(() => books.held() < held / 2, 'the memory is free');
  const [left, freed] = [books.held(), performance.now() - begun];
  const { state, attempts } = await jobEnd(running, id);
  const drawn = (performance.now() - begun) / 1000;
  const after = await running.draw('avatar + LoRA', '1024x1024');
  await running.stop();
  const head = [
    'held',
    'after kill -9',
    'free in',
    'its picture',
    'attempts',
    'there in',
    'the next picture',
  ];
  const row = [
    `${mib(held)} MiB`,
    `${mib(left)} MiB`,
    `${freed.toFixed(0)} ms`,
    state,
    attempts,
    `${drawn.toFixed(1)} s`,
  ];
  console.log(`${markdown(head, [[...row, after.status]])}\n`);
  return verdict(
    'memory free, drawn by the next process',
    state === 'succeeded' && attempts === 2 && after.status === 200,
  );
}

/** Sizes, avatars and LoRAs in turn. @param {Machine} machine @param {number} pictures */
export async function mixed(machine, pictures) {
  const running = await machine.start('Card:24576:8.9', { RESULT_TTL: '60' });
  const { service, books } = running;
  const engine = service.enginePid();
  const first = Math.min(50, Math.ceil(pictures / 6));
  const rows = [];
  let failed = 0;
  for (let i = 1; i <= pictures; i++) {
    const size = ['1024x1024', '512x512', '1920x1088', '768x1344', '1536x1024', '1088x1920', '64x64'][i % 7];
    const { status } = await running.draw(
      KINDS[i % 3],
      size,
      i % 6 === 5 ? { loras: [{ name: 'other', scale: 0.5 }] } : {},
    );
    if (status !== 200) failed++;
    if (i !== first && i % 100 !== 0 && i !== pictures) continue;
    const [own, api] = [await residentMb(engine), await residentMb(service.child.pid)];
    rows.push([i, books.held() / MIB, own, api]);
  }
  await running.stop();
  const head = ['pictures', 'card, MiB', 'engine, MB', 'API, MB'];
  console.log(
    `${markdown(
      head,
      rows.map((row) => row.map(Math.round)),
    )}\n\n${failed} failed\n`,
  );
  const [early, late] = [rows[0], rows[rows.length - 1]];
  const flat = [1, 2, 3].every((column) => late[column] / early[column] < 1.05);
  return verdict('all drawn, memory flat within 5 %', flat && failed === 0);
}

/** @param {Machine} machine */
export async function lora(machine) {
  const [one, other] = ['one', 'other'].map((name) => [{ name, scale: 1 }]);
  const turns = /** @type {const} */ ([
    ['none', []],
    ['one', one],
    ['one again', one],
    ['the other', other],
    ['none again', []],
  ]);
  const rows = [];
  for (const mode of ['runtime', 'merged']) {
    const running = await machine.start('Card:81559:8.9', { LORA_MODE: mode });
    await running.draw('avatar', '1024x1024');
    for (const [name, loras] of turns) {
      const { status, uploaded, launches, peak, seconds } = await running.draw('avatar', '1024x1024', {
        loras,
      });
      rows.push([
        mode,
        name,
        status,
        mib(uploaded),
        launches.toLocaleString('en'),
        mib(peak),
        seconds.toFixed(1),
      ]);
    }
    await running.stop();
  }
  const head = [
    'LORA_MODE',
    'LoRA of the picture',
    'status',
    'uploaded, MiB',
    'kernels',
    'peak, MiB',
    'seconds without computing',
  ];
  console.log(`${markdown(head, rows)}\n`);
  return verdict(
    'all drawn',
    rows.every(([, , status]) => status === 200),
  );
}
