import { EventEmitter } from 'node:events';
import { Registry } from 'prom-client';
import type { JobRecord, Jobs } from '@app/jobs';
import { aJob, failed, running, succeeded } from '../../../../test/support/jobs.stub';
import { Exposition } from './exposition';
import { countJobs } from './job.metrics';

describe(countJobs.name, () => {
  const exposition = new Exposition();
  const read = () => exposition.write(Registry.PROMETHEUS_CONTENT_TYPE);
  const news = new EventEmitter();
  countJobs({ news } as unknown as Jobs, exposition.registry);

  it('should have what alerts ask for from the start: a counter that appears with its first event has not increased', async () => {
    const text = await read();
    for (const zero of [
      'image_jobs_accepted_total{route="subject"}',
      'image_jobs_finished_total{route="generations",outcome="succeeded"}',
      'image_jobs_finished_total{route="memory",outcome="storage_unavailable"}',
      'image_webhook_attempts_total{outcome="failed"}',
      'image_redraws_total{how="elsewhere"}',
    ])
      expect(text).toContain(`${zero} 0\n`);
  });

  it('should count the wait of a first start only, in seconds, and nothing of a job that is given back', async () => {
    const job = aJob();
    news.emit('change', job);
    news.emit('change', { ...job, ...running });
    news.emit('change', { ...job, attempts: 1, startedAt: undefined });
    news.emit('change', { ...job, ...running, attempts: 2 });
    const text = await read();
    expect(text).toContain('image_jobs_accepted_total{route="memory"} 1');
    expect(text).toContain('image_job_wait_seconds_count{route="memory"} 1');
    expect(text).toContain('image_job_wait_seconds_sum{route="memory"} 9.6');
  });

  it('should time the phases of jobs that succeeded, in seconds, and count their steps', async () => {
    const job = aJob({ ...succeeded, result: { ...succeeded.result, mergedAnew: true } });
    for (const each of [job, aJob(succeeded), aJob(failed)]) news.emit('change', each);
    const text = await read();
    const seconds = {
      text: 0.002,
      image: 0.003,
      sampling: 0.004,
      decode: 0.005,
      encode: 0.006,
      store: 0.007,
    };
    for (const [phase, each] of Object.entries(seconds)) {
      expect(text).toContain(`image_job_phase_seconds_sum{phase="${phase}"} ${2 * each}`);
    }
    expect(text).toContain('image_job_duration_seconds_sum{route="memory"} 0.056');
    expect(text).toContain('image_job_duration_seconds_count{route="memory"} 2');
    expect(text).toContain('image_sampling_steps_total 100');
    expect(text).toContain('image_lora_merges_total 1');
  });

  it('should count the steps that were taken: of each picture, and of one that begins from another only the last', async () => {
    const job = aJob(succeeded);
    const steps = async () => Number(/^image_sampling_steps_total (\d+)$/m.exec(await read())![1]);
    const before = await steps();
    news.emit('change', { ...job, picture: { ...job.picture, steps: 50, count: 2, strength: 0.5 } });
    expect((await steps()) - before).toBe(52);
    const faceDetail = { steps: 8, strength: 0.5 };
    const picture = { ...job.picture, steps: 10, count: 2, candidates: 3, faceDetail };
    const taken = async (result: Partial<JobRecord['result']>) => {
      const before = await steps();
      news.emit('change', { ...job, picture, result: { ...job.result, ...result } });
      return (await steps()) - before;
    };
    expect(await taken({ tries: 2, paintedFaces: 0 })).toBe(2 * 20);
    expect(await taken({ tries: 2, paintedFaces: 3 })).toBe(2 * 20 + 3 * 5);
    expect(await taken({ tries: 2 })).toBe(2 * 20 + 4 * 5); // an older worker's
  });

  it('should count errors by the code that callers see, and attempts of webhooks by what came of them', async () => {
    const error = { code: 'caller_queue_full', message: '' };
    news.emit('change', { ...aJob(), state: 'failed', error });
    for (const status of ['pending', 'pending', 'failed', 'delivered']) news.emit('attempt', { status });
    const text = await read();
    expect(text).toContain('image_jobs_finished_total{route="memory",outcome="queue_full"} 1');
    expect(text).toContain('image_webhook_attempts_total{outcome="retried"} 2');
    expect(text).toContain('image_webhook_attempts_total{outcome="failed"} 1');
    expect(text).toContain('image_webhook_attempts_total{outcome="delivered"} 1');
  });
});
