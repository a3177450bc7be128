import { EventEmitter } from 'node:events';
import { Logger } from '@nestjs/common';
import type { Jobs } from '@app/jobs';
import { aJob, failed, JOB_ID, running, succeeded } from '../../../test/support/jobs.stub';
import { JobLog } from './job.log';

describe(JobLog.name, () => {
  const news = new EventEmitter();
  const told: [level: string, line: Record<string, unknown>, message: string][] = [];

  beforeAll(() => {
    for (const level of ['log', 'warn'] as const) {
      const tell = (line: Record<string, unknown>, message: string) => void told.push([level, line, message]);
      jest.spyOn(Logger.prototype, level).mockImplementation(tell as () => void);
    }
    new JobLog({ news } as unknown as Jobs).onModuleInit();
  });
  afterEach(() => (told.length = 0));
  afterAll(() => jest.restoreAllMocks());

  it('should tell of a job that ended what became of it and where its time went, and not whose it is', () => {
    const job = aJob();
    for (const change of [job, { ...job, ...running }]) news.emit('change', change);
    expect(told).toEqual([]);
    news.emit('change', aJob(succeeded));
    const [[level, line, message]] = told;
    expect([level, message]).toEqual(['log', 'Job succeeded']);
    expect(line).toMatchObject({
      ...{ job: JOB_ID, route: 'memory', outcome: 'succeeded', attempts: 1, size: '128x128', steps: 50 },
      ...{ wait_ms: 9_600, total_ms: 20_099, timings: succeeded.result.timings },
    });
    expect(JSON.stringify(line)).not.toMatch(/ann|a walk/);
  });

  it('should warn of what the service failed at alone', () => {
    const codes = [
      'engine_crashed',
      'deadline_exceeded',
      'cancelled',
      'lora_not_applied',
      'of_a_newer_process',
    ];
    for (const code of codes)
      news.emit('change', aJob({ ...failed, error: { code: code as never, message: '' } }));
    expect(told.map(([level, { outcome }]) => [outcome, level])).toEqual([
      ['engine_crashed', 'warn'],
      ['deadline_exceeded', 'warn'],
      ['cancelled', 'log'],
      ['lora_not_applied', 'log'],
      ['of_a_newer_process', 'warn'],
    ]);
  });
});
