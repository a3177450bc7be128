import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../support/demo';
import { isAlive, NO_REFERENCES, Service } from '../support/service';

const ROUTE = '/v1/images/generations';
const SMALL = { prompt: 'a frog', size: '64x64', num_inference_steps: 1, guidance_scale: 1 };

describe('The engine processes', () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;
  beforeAll(async () => (service = await Service.startReady({ DATA_DIR, ...NO_REFERENCES })));
  afterAll(() => service?.stop('SIGKILL'));

  it('should be killed when they hang, and their picture be drawn by another', async () => {
    const id = await service.submit(ROUTE, { ...SMALL, num_inference_steps: 100 });
    await service.until(async () => ((await service.job(id)).progress?.step ?? 0) > 0, 'draws');
    const hung = service.enginePid!;
    process.kill(hung, 'SIGSTOP');
    await service.until(() => !isAlive(hung), 'is killed');
    const told = () => service.lines.some((line) => line.includes('hung: it gave no sign of life for 10 s'));
    await service.until(told, 'says why');
    expect(await service.jobUntil(id, 'succeeded', 'failed')).toMatchObject({
      state: 'succeeded',
      attempts: 2,
    });
  });

  it('should lose, double and forget no job of several callers while they die at any moment', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 6; i++)
      ids.push(await service.submit(ROUTE, { ...SMALL, seed: i, user: `caller-${i % 3}` }));
    // In the prompt, at the first moment of a picture, while it loads: wherever these moments fall.
    for (const moment of [1500, 4200, 300]) {
      await service.until(() => service.enginePid !== undefined, 'has an engine');
      const engine = service.enginePid!;
      await sleep(moment);
      process.kill(engine, 'SIGKILL');
      await service.until(() => !isAlive(engine), 'is dead');
    }
    const jobs = [];
    for (const id of ids) jobs.push(await service.jobUntil(id, 'succeeded', 'failed'));
    const failed = jobs.filter(({ state }) => state === 'failed');
    // Three deaths cannot have hit more than one job twice.
    expect(failed.length).toBeLessThanOrEqual(1);
    for (const { error } of failed) expect(error).toMatchObject({ code: 'engine_crashed' });
    const files = readdirSync(join(DATA_DIR, 'generated'), { recursive: true, encoding: 'utf8' });
    const stored = files.map((path) => path.slice(-'.png'.length - ids[0].length, -'.png'.length));
    const succeeded = jobs.filter(({ state }) => state === 'succeeded').map(({ id }) => id);
    expect(stored.filter((id) => ids.includes(id)).sort()).toEqual(succeeded.sort());
  });
});
