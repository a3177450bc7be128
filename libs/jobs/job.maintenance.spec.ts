import { JobDesk } from '../../test/support/job.desk';
import type { PictureResult } from './picture.job';
import { inputKey, JobMaintenance } from './job.maintenance';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const pass = async (ms: number) => {
  await jest.advanceTimersByTimeAsync(ms);
  for (let n = 0; n < 200; n++) await turn(); // records are written a turn later
};

describe(JobMaintenance.name, () => {
  let desk: JobDesk;
  let maintenance: JobMaintenance;

  const begin = async (config: ConstructorParameters<typeof JobDesk>[0] = {}) => {
    desk = new JobDesk(config);
    maintenance = new JobMaintenance(desk.config, desk.jobs, desk.store, desk.storage);
    maintenance.onApplicationBootstrap();
    await pass(0);
  };
  const state = async (id: string) => (await desk.store.find(id))?.state;
  const put = (key: string) => desk.storage.put(key, Buffer.from('png'));

  beforeEach(() => jest.useFakeTimers({ now: 1_800_000_000_000, doNotFake: ['setImmediate'] }));
  afterEach(async () => {
    await maintenance.beforeApplicationShutdown();
    jest.useRealTimers();
    await desk.close();
  });

  describe('deadlines', () => {
    it('should expire what did not start in time, within a second, and tell it', async () => {
      await begin();
      const late = await desk.submit('late', { deadlineAt: Date.now() + 1500 });
      const early = await desk.submit('early', { deadlineAt: Date.now() + HOUR });
      await pass(SECOND);
      expect(await state(late.id)).toBe('queued');
      await pass(SECOND);
      expect(await desk.store.find(late.id)).toMatchObject({
        state: 'expired',
        error: { code: 'deadline_exceeded', param: 'deadline_seconds' },
      });
      expect((await desk.events.read(late.id)).at(-1)).toMatchObject({ state: 'expired' });
      expect(await state(early.id)).toBe('queued');
    });

    it('should leave running jobs to those who draw them', async () => {
      await begin();
      const { id } = await desk.submit('running', { deadlineAt: Date.now() + 500 });
      await desk.jobs.start(id);
      await pass(3 * SECOND);
      expect(await state(id)).toBe('running');
    });
  });

  describe('JOB_TTL', () => {
    it('should forget finished jobs and their events, keep their pictures, and leave the others', async () => {
      await begin({ JOB_TTL: 100 });
      const old = await desk.submit('old');
      const { key } = old.picture;
      await put(key);
      await desk.jobs.start(old.id);
      await desk.jobs.succeed(old.id, 1, { key } as PictureResult);
      await pass(60 * SECOND);
      const young = await desk.submit('young');
      await desk.jobs.cancel(young.id);
      const open = await desk.submit('open');
      expect(await state(old.id)).toBe('succeeded');
      await pass(55 * SECOND);
      expect(await state(old.id)).toBeUndefined();
      expect(await desk.events.read(old.id)).toEqual([]);
      expect([await state(young.id), await state(open.id)]).toEqual(['cancelled', 'queued']);
      expect(desk.storage.keys).toEqual([key]);
    });

    it('should keep a job until its webhook was delivered or given up', async () => {
      await begin({ JOB_TTL: 100 });
      const webhook = { url: 'https://example.com', events: ['job.cancelled' as const], deliveries: [] };
      const { id } = await desk.submit('told', { webhook });
      await desk.jobs.cancel(id);
      await pass(HOUR);
      expect(await state(id)).toBe('cancelled');
      expect(await desk.jobs.claimWebhook(id, 0)).toMatchObject({ id });
      await desk.jobs.settleWebhook(id, 0, 1, '204');
      await pass(11 * SECOND);
      expect(await state(id)).toBeUndefined();
    });

    it('should let others in between while it forgets thousands', async () => {
      await begin({ JOB_TTL: 100 });
      await Promise.all(
        Array.from({ length: 1_000 }, async (_, n) => desk.jobs.cancel((await desk.submit(`${n}`)).id)),
      );
      const left = async () => (await desk.store.list({ limit: 1_000 })).jobs.length;
      await pass(105 * SECOND);
      jest.advanceTimersByTime(10 * SECOND);
      const seen = new Set<number>();
      for (let n = 0; n < 200; n++) {
        await turn();
        seen.add(await left());
      }
      expect(seen).toContain(0);
      expect(seen.size).toBeGreaterThan(20);
    });

    it('should forget any number of them in a round', async () => {
      await begin({ JOB_TTL: 100 });
      for (let i = 0; i < 250; i++) await desk.jobs.cancel((await desk.submit('many')).id);
      await pass(111 * SECOND);
      expect((await desk.store.list({ limit: 100 })).jobs).toEqual([]);
    });
  });

  describe('RESULT_TTL', () => {
    it('should delete old pictures, and nothing else', async () => {
      await begin({ RESULT_TTL: 1000 });
      for (const key of ['generated/old.png', 'avatars/ann/face.png', 'subjects/ann.png']) await put(key);
      await pass(950 * SECOND);
      await put('generated/young.png');
      expect(desk.storage.keys).toContain('generated/old.png');
      await pass(151 * SECOND);
      expect(desk.storage.keys).toEqual(['avatars/ann/face.png', 'generated/young.png', 'subjects/ann.png']);
    });

    it('should go by the clock of the storage, whatever that of the process says', async () => {
      await begin({ RESULT_TTL: 1000 });
      const from = Date.now();
      desk.storage.now = () => new Date(from);
      await put('generated/young.png');
      await pass(1500 * SECOND);
      expect(desk.storage.keys).toEqual(['generated/young.png']);
      desk.storage.now = () => new Date(from + 1001 * SECOND);
      await pass(100 * SECOND);
      expect(desk.storage.keys).toEqual([]);
    });

    it('should delete but a part of what is old at once, the oldest first', async () => {
      await begin({ RESULT_TTL: 1000 });
      const from = Date.now();
      for (let n = 0; n < 2_000; n++) {
        desk.storage.now = () => new Date(from + n);
        await put(`generated/${n}.png`);
      }
      // A clock that is set forward by a month.
      desk.storage.now = () => new Date(from + 720 * HOUR);
      await pass(100 * SECOND);
      expect(desk.storage.keys).toHaveLength(1_800);
      expect(desk.storage.keys).not.toContain('generated/199.png');
      expect(desk.storage.keys).toContain('generated/200.png');
      await pass(5_000 * SECOND);
      expect(desk.storage.keys).toEqual([]);
    });

    it('should keep pictures for ever when it is not set', async () => {
      await begin();
      await put('generated/old.png');
      await pass(5 * HOUR);
      expect(desk.storage.keys).toEqual(['generated/old.png']);
    });
  });

  describe('copies of reference pictures', () => {
    it('should delete old ones without a job that needs them', async () => {
      await begin();
      const needed = await desk.submit('needed', { deadlineAt: Date.now() + 100 * HOUR });
      const running = await desk.submit('running', { deadlineAt: Date.now() + 100 * HOUR });
      await desk.jobs.start(running.id);
      const ended = await desk.submit('ended');
      await desk.jobs.cancel(ended.id);
      for (const id of [needed.id, running.id, ended.id, 'never-accepted']) await put(inputKey(id));
      await pass(2 * HOUR);
      expect(desk.storage.keys).toEqual([inputKey(needed.id), inputKey(running.id)].sort());
    });

    it('should leave young ones, whose job may be on its way', async () => {
      await begin();
      await pass(0.5 * HOUR);
      await put(inputKey('underway'));
      await pass(0.5 * HOUR);
      expect(desk.storage.keys).toEqual([inputKey('underway')]);
      await pass(HOUR);
      expect(desk.storage.keys).toEqual([]);
    });
  });

  describe('while the storage is away', () => {
    it('should go on with the rest, and catch up later', async () => {
      await begin({ JOB_TTL: 100, RESULT_TTL: 7200 });
      for (const key of ['generated/old.png', inputKey('orphan')]) await put(key);
      const remove = jest.spyOn(desk.storage, 'delete').mockRejectedValue(new Error('away'));
      await pass(2.5 * HOUR);
      expect(remove).toHaveBeenCalled();
      const late = await desk.submit('late', { deadlineAt: Date.now() + SECOND });
      await pass(2 * SECOND);
      expect(await state(late.id)).toBe('expired');
      await pass(120 * SECOND);
      expect(await state(late.id)).toBeUndefined();
      remove.mockRestore();
      await pass(HOUR);
      expect(desk.storage.keys).toEqual([]);
    });
  });

  it('should do nothing that is another process’s to do', async () => {
    await begin({ RESULT_TTL: 1000 });
    const rounds: unknown[][] = [];
    const claim = jest.spyOn(desk.store, 'claim').mockImplementation((...round) => {
      rounds.push(round);
      return Promise.resolve(false);
    });
    await put('generated/old.png');
    const late = await desk.submit('late', { deadlineAt: Date.now() + SECOND });
    await pass(1_500 * SECOND);
    expect(desk.storage.keys).toEqual(['generated/old.png']);
    expect(await state(late.id)).toBe('queued');
    expect(rounds).toContainEqual(['old pictures', 90 * SECOND]);
    claim.mockRestore();
    await pass(100 * SECOND);
    expect(desk.storage.keys).toEqual([]);
    expect(await state(late.id)).toBe('expired');
  });

  it('should not begin a round before the last one has ended', async () => {
    await begin();
    let end = (): void => {};
    const overdue = jest
      .spyOn(desk.store, 'overdue')
      .mockImplementationOnce(() => new Promise((resolve) => (end = () => resolve([]))));
    await pass(5 * SECOND);
    expect(overdue).toHaveBeenCalledTimes(1);
    end();
    await pass(SECOND);
    expect(overdue).toHaveBeenCalledTimes(2);
  });

  it('should end its round before the shutdown goes on, and begin no other', async () => {
    await begin();
    let end = (): void => {};
    const overdue = jest
      .spyOn(desk.store, 'overdue')
      .mockImplementationOnce(() => new Promise((resolve) => (end = () => resolve([]))));
    await pass(SECOND);
    let down = false;
    const shutdown = maintenance.beforeApplicationShutdown().then(() => (down = true));
    await pass(SECOND);
    expect(down).toBe(false);
    end();
    await shutdown;
    await pass(5 * SECOND);
    expect(overdue).toHaveBeenCalledTimes(1);
  });
});
