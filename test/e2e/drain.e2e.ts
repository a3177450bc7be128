import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../support/demo';
import { followEvents } from '../support/event.source';
import { FEW_PICTURES, isAlive, Service, type Job } from '../support/service';

const ROUTE = '/v1/images/generations';
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
/** Takes some seconds. */
const picture = (seed: number) => ({ ...SMALL, num_inference_steps: 20, seed });
/** Longer than any of these tests waits. */
const LONG = { prompt: 'a fox', size: '192x192', num_inference_steps: 150, guidance_scale: 1 };
/** More than a running picture of these tests can take. */
const PATIENT = { DRAIN_SECONDS: '600' };
const CLEAN = { code: 0, signal: null };

describe('A service that is told to end', () => {
  const folder = temporaryFolder();
  let DATA_DIR: string;
  let service: Service;
  beforeEach(() => (DATA_DIR = mkdtempSync(join(folder, 'data-'))));
  afterEach(() => service?.stop('SIGKILL'));

  const get = (path: string) => fetch(service.url + path);
  const jobs = async (query = '') => ((await (await get(`/v1/jobs${query}`)).json()) as { data: Job[] }).data;
  const signal = (name: NodeJS.Signals) => process.kill(service.pid, name);
  const stored = (id: string) =>
    readdirSync(join(DATA_DIR, 'generated')).filter((name) => name.includes(id)).length;

  /** The id of the job that an engine is at. */
  const drawn = async (): Promise<string> => {
    let running: Job | undefined;
    await service.until(async () => {
      running = (await jobs('?state=running')).find(({ progress }) => progress !== null);
      return running !== undefined;
    }, 'draws');
    return running!.id;
  };

  const queued = (count: number) =>
    service.until(async () => (await jobs('?state=queued')).length === count, `has ${count} waiting`);

  const follow = (id: string) => followEvents(`${service.url}/v1/jobs/${id}/events`);

  /** Starts another process on the same folder; resolves when it has ended these jobs, each stored once. */
  const drawnByTheNext = async (...ids: string[]) => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES });
    const ends: Pick<Job, 'state' | 'attempts'>[] = [];
    for (const id of ids) {
      const { state, attempts } = await service.jobUntil(id, 'succeeded', 'failed', 'cancelled');
      ends.push({ state, attempts });
    }
    expect(ids.map(stored)).toEqual(ids.map(() => 1));
    return ends;
  };

  it('should finish the running picture, tell everybody else, and leave what waits to the next', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, ...PATIENT });
    const engine = service.enginePid!;
    const caller = service.post(ROUTE, picture(1));
    const running = await drawn();
    const waiting = await service.submit(ROUTE, SMALL);
    const waiter = service.post(ROUTE, SMALL);
    await queued(2);
    const streams = { running: await follow(running), waiting: await follow(waiting) };

    const ended = service.stop('SIGTERM');
    await sleep(200);
    expect((await get('/health/ready')).status).toBe(503);
    expect(await (await get('/health/')).text()).toContain('draining');
    expect((await get('/health/live')).status).toBe(200);
    const late = await service.post(ROUTE, SMALL);
    expect(late.status).toBe(503);
    expect(late.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await waiter).status).toBe(503);
    expect((await streams.waiting.rest).at(-1)!.event).toBe('closing');
    expect((await service.job(running)).state).toBe('running');

    const reply = await caller;
    expect(reply.status).toBe(200);
    expect(((await reply.json()) as Job).id).toBe(running);
    expect((await streams.running.rest).at(-1)!.event).toBe('result');
    expect(await ended).toEqual(CLEAN);
    expect(isAlive(engine)).toBe(false);
    expect(service.lines.join('\n')).toContain('Draining: waiting up to 600 s for 1 running picture;');

    expect(await drawnByTheNext(waiting)).toEqual([{ state: 'succeeded', attempts: 1 }]);
    const others = (await jobs()).filter(({ id }) => ![running, waiting].includes(id));
    expect(others.map(({ state }) => state)).toEqual(['cancelled']);
  });

  it('should end soon when it is told twice, and still lose nothing', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, ...PATIENT });
    const ids = [
      await service.submit(ROUTE, picture(2)),
      await service.submit(ROUTE, SMALL),
      await service.submit(ROUTE, SMALL),
    ];
    expect(await drawn()).toBe(ids[0]);
    const stream = await follow(ids[0]);
    const ended = service.stop('SIGTERM');
    await sleep(1000);
    expect((await service.job(ids[0])).state).toBe('running');
    const again = performance.now();
    signal('SIGTERM');
    expect(await ended).toEqual(CLEAN);
    expect(performance.now() - again).toBeLessThan(5000);
    expect((await stream.rest).at(-1)!.event).toBe('closing');
    expect(await drawnByTheNext(...ids)).toEqual([
      { state: 'succeeded', attempts: 2 },
      { state: 'succeeded', attempts: 1 },
      { state: 'succeeded', attempts: 1 },
    ]);
  });

  it('should give back what takes longer than DRAIN_SECONDS, and tell who waited for it', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, DRAIN_SECONDS: '1' });
    const key = { 'idempotency-key': 'patient' };
    const caller = service.post(ROUTE, picture(3), undefined, key);
    const id = await drawn();
    const ended = service.stop('SIGTERM');
    expect((await caller).status).toBe(503);
    expect(await ended).toEqual(CLEAN);
    expect(await drawnByTheNext(id)).toEqual([{ state: 'succeeded', attempts: 2 }]);
    const replay = await service.post(ROUTE, picture(3), undefined, key);
    expect(replay.headers.get('idempotency-replayed')).toBe('true');
  });

  it('should end at once while the model loads and a job waits for it', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES });
    const ids = [await service.submit(ROUTE, LONG), await service.submit(ROUTE, SMALL)];
    await drawn();
    await service.killGroup();
    service = await Service.start({ DATA_DIR, ...PATIENT }); // which converts weights while it loads: for seconds
    expect((await get('/health/ready')).status).toBe(503);
    await fetch(`${service.url}/v1/jobs/${ids[0]}`, { method: 'DELETE' });
    expect(await service.stop('SIGTERM')).toEqual(CLEAN);
    expect(await drawnByTheNext(ids[1])).toEqual([{ state: 'succeeded', attempts: 1 }]);
  });

  it('should finish the running picture on Ctrl-C too, which the engine gets as well and npm passes on', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, ...PATIENT });
    const engine = service.enginePid!;
    const caller = service.post(ROUTE, picture(4));
    await drawn();
    process.kill(-service.pid, 'SIGINT');
    await sleep(50);
    const ended = service.stop('SIGINT');
    expect((await caller).status).toBe(200);
    expect(await ended).toEqual(CLEAN);
    expect(isAlive(engine)).toBe(false);
  });

  it('should keep its port open for SHUTDOWN_DELAY, for who does not know yet, and no longer when told twice', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, SHUTDOWN_DELAY: '300' });
    const ended = service.stop('SIGTERM');
    await service.until(async () => (await get('/health/ready')).status === 503, 'is not ready');
    await sleep(1000); // in which it closed its port, when it drew nothing
    const list = await get('/v1/jobs');
    expect({ status: list.status, connection: list.headers.get('connection') }).toEqual({
      status: 200,
      connection: 'close',
    });
    expect((await service.post(ROUTE, SMALL)).status).toBe(503);
    signal('SIGTERM');
    expect(await ended).toEqual(CLEAN);
    await expect(get('/health/live')).rejects.toThrow();
    expect(service.lines.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  });

  it('should end at once on Ctrl-C when it is idle, whoever is connected', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, ...PATIENT, SHUTDOWN_DELAY: '300' });
    expect((await get('/health/live')).status).toBe(200); // and the connection is kept
    const asked = performance.now();
    expect(await service.stop('SIGINT')).toEqual(CLEAN);
    expect(performance.now() - asked).toBeLessThan(5000);
    expect(service.lines.join('\n')).not.toContain('Draining');
  });
});
