import type { Response } from 'express';
import { Config } from '@app/config';
import type { Capabilities } from '@app/jobs';
import { aJob } from '../../../../test/support/jobs.stub';
import type { JobPresenter } from '../jobs/job.presenter';
import { PictureAnswers } from './picture.answers';

describe(PictureAnswers.name, () => {
  async function retryAfter(seconds: number | null, hasWorkers = true): Promise<number> {
    const headers = new Map<string, unknown>();
    const response = {
      status: () => response,
      setHeader: (name: string, value: unknown) => (headers.set(name, value), response),
    };
    const end = seconds === null ? null : Date.now() / 1000 + seconds;
    const presenter = { job: () => Promise.resolve({ estimated_end_at: end }) } as unknown as JobPresenter;
    const answers = new PictureAnswers(new Config(), presenter, { hasWorkers } as Capabilities);
    await answers.of({ job: aJob(), replayed: false }, response as unknown as Response, () => {
      throw new Error('There is no picture yet');
    });
    return headers.get('Retry-After') as number;
  }

  it('should tell with an accepted job when to look again: when it may be done, and later while no worker is there', async () => {
    expect([await retryAfter(12), await retryAfter(-5), await retryAfter(3_600)]).toEqual([12, 1, 60]);
    expect(await retryAfter(null)).toBe(60);
    expect(await retryAfter(12, false)).toBe(60);
  });
});
