import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import type { StoredEvent } from '../job.events';
import { JobRun } from './job.run';

const latent = (step: number) => ({ pixels: Buffer.alloc(8 * 8 * 3, 99), width: 8, height: 8, step });

const name = (event: StoredEvent) => (event.type === 'state' ? event.state : event.type);

describe(`${JobRun.name} tells`, () => {
  let desk: JobDesk;

  beforeEach(() => {
    desk = new JobDesk();
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  it('its states and progress, in order', async () => {
    const job = await desk.submit('watched');
    const { listeners, finish } = await desk.drawing();
    const progress = { phase: 'sampling', step: 2, steps: 4 } as const;
    listeners.onProgress!(progress);
    expect(await desk.jobs.progress(job.id)).toEqual(progress);
    const told = (await desk.events.read(job.id)).map(name);
    await desk.events.subscribe(job.id, (event) => told.push(name(event)));
    finish();
    await desk.ended(job);
    expect(told).toEqual(['queued', 'running', 'progress', 'succeeded']);
  });

  it('the engine to make previews only while somebody wants them', async () => {
    const job = await desk.submit('previewed');
    const { listeners, finish } = await desk.drawing();
    const wanted = () => listeners.previewsWanted!();
    expect(await wanted()).toBe(false);
    const plain = await desk.events.subscribe(job.id, () => {});
    expect(await wanted()).toBe(false);
    const seen: StoredEvent[] = [];
    const leave = await desk.events.subscribe(job.id, (event) => seen.push(event), { previews: true });
    expect(await wanted()).toBe(true);
    listeners.onPreview!(latent(3));
    await until(() => seen.length > 0);
    expect(seen).toMatchObject([{ type: 'preview', preview: { step: 3, width: 8, height: 8 } }]);
    const [event] = seen;
    const jpeg = Buffer.from(event.type === 'preview' ? event.preview.jpeg : '', 'base64');
    expect(jpeg.subarray(0, 3).toString('hex')).toBe('ffd8ff');
    leave();
    expect(await wanted()).toBe(false);
    plain();
    finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded' });
  });

  it('of a preview that cannot be encoded in the log alone', async () => {
    const job = await desk.submit('robust');
    const { listeners, finish } = await desk.drawing();
    listeners.onPreview!({ ...latent(1), pixels: Buffer.alloc(1) });
    finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded' });
  });
});
