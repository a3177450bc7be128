import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { FEW_PICTURES, NO_REFERENCES, Service } from '../support/service';

const ROUTE = '/v1/images/generations';
const SMALL = { size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');

describe('What the log holds', () => {
  const folders = [temporaryFolder(), temporaryFolder()];
  let service: Service | undefined;
  afterEach(async () => {
    await service?.stop('SIGKILL');
    service = undefined;
  });

  it('should be no prompt, key or query, whatever becomes of the request', async () => {
    const secret = 'telltale';
    const headers = {
      authorization: `Bearer ${secret}-key`,
      'idempotency-key': `${secret}-idempotency`,
      cookie: `session=${secret}`,
    };
    service = await Service.startReady({ DATA_DIR: folders[0], ...NO_REFERENCES, LOG_LEVEL: 'trace' });
    const post = (body: object) => service!.post(ROUTE, { ...SMALL, ...body }, undefined, headers);
    const get = (path: string) => fetch(service!.url + path, { headers });

    // With guidance, as only then the negative prompt is encoded.
    const drawn = await post({ prompt: `a ${secret}`, negative_prompt: `no ${secret}`, guidance_scale: 4 });
    expect(drawn.status).toBe(200);
    const { data } = (await drawn.json()) as { data: { url: string }[] };
    expect((await get(`${new URL(data[0].url).pathname}?signature=${secret}`)).status).toBe(200);
    // Refused: the key has another request, a broken rule, broken JSON, an unknown route.
    expect((await post({ prompt: secret })).status).toBe(422);
    expect((await post({ prompt: secret, seed: -1 })).status).toBe(400);
    const broken = { method: 'POST', headers: { 'content-type': 'application/json' }, body: `{"${secret}` };
    expect((await fetch(service.url + ROUTE, broken)).status).toBe(400);
    expect((await get(`/nothing?here=${secret}`)).status).toBe(404);
    expect((await service.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    // What the engine's tokenizer or a format string may stumble over, and so many words that it encodes them apart.
    for (const prompt of [
      `%s%n <lora:${secret}:9> (((${secret}:2) embedding:${secret} \\`,
      `${secret} `.repeat(90),
    ])
      expect((await service.post(ROUTE, { ...SMALL, prompt })).status).toBe(200);
    // The engine's last words.
    const id = await service.submit(ROUTE, { ...SMALL, prompt: secret, num_inference_steps: 100 });
    await service.jobUntil(id, 'running');
    process.kill(service.enginePid!, 'SIGABRT');
    await service.until(
      () => service!.lines.some((line) => /engine process died/.test(line)),
      'loses its engine',
    );
    await fetch(`${service.url}/v1/jobs/${id}`, { method: 'DELETE' });
    expect(await service.stop()).toEqual({ code: 0, signal: null });

    expect(service.lines.length).toBeGreaterThan(20);
    expect(service.lines.filter((line) => line.includes(secret))).toEqual([]);
  });

  it('should be a line for each job that ended, and with LOG_PROMPTS one with its prompts', async () => {
    service = await Service.startReady({ DATA_DIR: folders[1], ...FEW_PICTURES, LOG_PROMPTS: 'true' });
    const body = { ...SMALL, prompt: 'a telltale fox', negative_prompt: 'a telltale hare' };
    const id = await service.submit(ROUTE, body, { 'x-request-id': 'abc-1', 'idempotency-key': 'k' });
    expect(await service.submit(ROUTE, body, { 'idempotency-key': 'k' })).toBe(id);
    const told = service.lines.filter((line) => line.includes('telltale'));
    expect(told.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({
        level: 30,
        job: id,
        prompt: 'a telltale fox',
        negative_prompt: 'a telltale hare',
        reqId: 'abc-1',
      }),
    ]);
    await service.jobUntil(id, 'succeeded');
    const ended = service.lines.filter((line) => line.includes('"msg":"Job'));
    expect(ended.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({
        ...{ level: 30, job: id, route: 'generations', outcome: 'succeeded', attempts: 1, size: '64x64' },
        timings: expect.objectContaining({ sampling_ms: expect.any(Number) as number }) as object,
      }),
    ]);
  });
});
