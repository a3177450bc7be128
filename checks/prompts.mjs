/** Prompts of every kind, right and wrong, drawn by the real engine: each is an image, or refused with 400 for `prompt`. */
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, verdict } from '../bench/support/benchmark.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { prompts } from '../test/support/prompt.mutations.js';

const { count, seed, from } = readArguments('Generated prompts, drawn by the real engine.', {
  count: { about: 'prompts', default: 300 },
  seed: { about: 'of the prompts; others make others', default: 1 },
  from: { about: 'those before it are passed over: to go on where a run ended', default: 0 },
});

/** Parts of a prompt, which are a word, a sign or a bracket with a weight. */
const SHORT = 8;

/** By each route that prompts come in. Without guidance the negative prompt is not read; with it each image costs twice. */
const ASK = [
  {
    share: 7,
    path: '/v1/images/generations',
    body: { size: '64x64', num_inference_steps: 1, guidance_scale: 1 },
  },
  { share: 1, path: '/v1/images/generations', body: { size: '64x64', num_inference_steps: 1 }, guided: true },
  // LoRAs that tags name are not there, which is 400 as well.
  { share: 2, path: '/sdapi/v1/txt2img', body: { width: 64, height: 64, steps: 1, cfg_scale: 1 } },
].flatMap(({ share, ...way }) => Array.from({ length: share }, () => way));

await benchmark(async () => {
  const service = await startService(DEMO);
  const engine = service.enginePid();
  // Each chunk of a prompt costs as much as the image itself: most are short.
  const [short, long] = [prompts(seed, SHORT), prompts(seed)];
  /** @type {Record<number, number>} */
  const answers = {};
  /** @type {string[]} */
  const failures = [];
  let chunked = 0;
  for (let index = 0; index < count; index++) {
    const { path, body, guided } = ASK[index % ASK.length];
    const next = index % 20 === 19 ? long : short;
    const prompt = next();
    const request = { ...body, seed: 7, prompt, ...(guided && { negative_prompt: next() }) };
    if (index < from) continue;
    const answer = await service.send('POST', path, 'application/json', JSON.stringify(request));
    const { status } = answer;
    answers[status] = (answers[status] ?? 0) + 1;
    const text = answer.body.toString();
    if (/ was read in \d+ chunks/.test(text)) chunked++;
    if (status !== 200 && !(status === 400 && /"param":"(negative_)?prompt|"param":"loras/.test(text)))
      failures.push(`${JSON.stringify(request)}: ${status} ${text.slice(0, 200)}`);
    if (process.stderr.isTTY) process.stderr.write(`\r${index + 1} of ${count} `);
  }
  const alive = service.child.exitCode === null && service.enginePid() === engine;
  console.log(
    `${count - from} prompts of seed ${seed}, ${chunked} of them in more than one chunk. Answers by status:`,
  );
  console.table(answers);
  for (const failure of failures.slice(0, 20)) console.log(failure);
  console.log(`The service and its engine are the processes that began: ${alive}`);
  return verdict('every prompt drawn, or refused with 400 for the prompt', failures.length === 0 && alive);
});
