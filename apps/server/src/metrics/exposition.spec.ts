import { EventEmitter } from 'node:events';
import { Registry } from 'prom-client';
import type { Jobs } from '@app/jobs';
import { aJob, JOB_ID, running, succeeded } from '../../../../test/support/jobs.stub';
import { Exposition, formatFor } from './exposition';
import { countJobs } from './job.metrics';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const trace = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
const [TEXT, OPEN] = [Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE];

describe(Exposition.name, () => {
  const exposition = new Exposition();
  const { registry } = exposition;
  const news = new EventEmitter();
  countJobs({ news } as unknown as Jobs, registry);
  news.emit('change', aJob({ ...running, trace }));
  news.emit('change', aJob({ ...succeeded, trace }));

  it('should name the job and its trace in OpenMetrics', async () => {
    const text = await exposition.write(OPEN);
    const labels = `job_id="${JOB_ID}",trace_id="${TRACE}"`;
    expect(text).toMatch(
      new RegExp(`^image_job_wait_seconds_bucket{le="10",route="memory"} 1 # {${labels}} 9\\.6 `, 'm'),
    );
    expect(text).toContain(`image_job_phase_seconds_bucket{le="0.01",phase="text"} 1 # {${labels}} 0.002 `);
    expect(text).toMatch(/^# TYPE image_jobs_accepted counter\n(.+\n)*image_jobs_accepted_total{/m);
    expect(text).toMatch(/\n# EOF\n$/);
    news.emit('change', aJob({ ...succeeded, trace: { traceparent: `00-${TRACE}-00f067aa0ba902b7-00` } }));
    expect(await exposition.write(OPEN)).toContain(`{job_id="${JOB_ID}"} 0.002 `);
    news.emit('change', aJob(succeeded));
    expect(await exposition.write(OPEN)).toContain(`{job_id="${JOB_ID}"} 0.002 `);
  });

  it('should be the same as ever in text, whoever reads the other meanwhile', async () => {
    const before = await exposition.write(TEXT);
    const read = await Promise.all([OPEN, TEXT, OPEN, TEXT].map((format) => exposition.write(format)));
    expect([read[1], read[3], await exposition.write(TEXT)]).toEqual([before, before, before]);
    expect(read[2]).toBe(read[0]);
    expect(before).not.toContain('trace_id');
  });

  it('should make no queue of readers before a source that does not answer', async () => {
    let release = () => {};
    const source = new Promise<string>((resolve) => (release = () => resolve('late')));
    const written = jest.spyOn(registry, 'metrics').mockReturnValueOnce(source);
    const readers = Array.from({ length: 20 }, (_, i) => exposition.write(i % 2 ? TEXT : OPEN));
    release();
    await Promise.all(readers);
    expect(written).toHaveBeenCalledTimes(2);
    written.mockRestore();
  });

  it('should go on after a metric that cannot be read', async () => {
    const collect = jest.spyOn(registry, 'metrics').mockRejectedValueOnce(new Error('No'));
    await expect(exposition.write(OPEN)).rejects.toThrow('No');
    collect.mockRestore();
    expect(await exposition.write(TEXT)).toContain('image_jobs_accepted_total{');
  });

  it.each([
    [undefined, TEXT],
    ['*/*', TEXT],
    ['text/plain;version=0.0.4', TEXT],
    ['application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3', OPEN],
  ])('should answer Accept %s with %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});
