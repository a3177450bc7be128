import sharp from 'sharp';
import { draft } from '../../test/support/jobs';
import { until } from '../../test/support/eventually';
import { JobDesk, type Records } from '../../test/support/job.desk';
import type { JobState } from './job.record';
import { MAX_ATTEMPTS, start } from './job.transitions';

export interface OpenedRecords extends Records {
  /** The same jobs as a new process finds them after the old one died. */
  readonly reopen: () => Promise<OpenedRecords>;
}

const id = 'b'.repeat(24);
const referenceKey = `inputs/${id}.png`;

const png = () =>
  sharp({ create: { width: 224, height: 224, channels: 3, background: 'red' } })
    .png()
    .toBuffer();

/** What becomes of the jobs of a process that died, with records, queue and events of one kind. */
export function rescuerContract(name: string, open: () => Promise<OpenedRecords>): void {
  describe(`${name} with a job whose process died`, () => {
    let desk: JobDesk | undefined;
    let states: JobState[];

    afterEach(() => desk?.close());

    /** Runs a job in its `attempt`, ends the process and opens the next one, where somebody watches the job. */
    async function die(attempt: number, taken: boolean): Promise<JobDesk> {
      const opened = await open();
      const { store, queue } = opened;
      const webhook = { url: 'https://x', events: ['job.failed'] as const, deliveries: [] };
      const picture = { referenceKey, width: 64, height: 64 };
      await store.accept(draft({ id, attempts: attempt - 1, webhook, picture }), { limit: 9 });
      if (taken) {
        await queue.add((await store.find(id))!);
        await queue.take(AbortSignal.timeout(4000));
      }
      await store.update(id, start(Date.now()));

      const next = new JobDesk({}, { engines: 1 }, await opened.reopen());
      desk = next;
      await next.storage.put(referenceKey, await png());
      next.pipeline.engines = []; // no engine yet: jobs are prepared, and wait
      states = [];
      await next.events.subscribe(id, (event) => {
        if (event.type === 'state') states.push(event.state);
      });
      next.dispatcher.onApplicationBootstrap();
      return next;
    }
    const state = async () => (await desk!.store.find(id))!.state;

    it.each([
      ['as it was held', true],
      ['which the queue does not know', false],
    ])('should announce its failure when its attempts are used up, %s', async (_, taken) => {
      const { store, jobs, storage, drawn } = await die(MAX_ATTEMPTS, taken);
      await until(async () => (await state()) === 'failed');
      await until(() => states.length > 0 && storage.keys.length === 0);
      expect(states).toEqual(['failed']);
      expect(await store.find(id)).toMatchObject({
        attempts: MAX_ATTEMPTS,
        error: { code: 'engine_crashed' },
        webhook: { deliveries: [{ event: 'job.failed', status: 'pending' }] },
      });
      expect(await jobs.webhooksDue()).toEqual([id]);
      expect(drawn).toEqual([]);
    });

    it.each([
      ['as it was held', true],
      ['which the queue does not know', false],
    ])('should queue and announce it again when it has attempts left, %s', async (_, taken) => {
      const { storage } = await die(1, taken);
      await until(() => states.length > 0);
      expect(states).toEqual(['queued']);
      expect(await desk!.store.find(id)).toMatchObject({ state: 'queued', attempts: 1 });
      expect(storage.keys).toEqual([referenceKey]);
    });
  });
}
