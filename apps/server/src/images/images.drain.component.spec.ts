import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Drain } from '@app/lifecycle';
import { Jobs, type JobRecord } from '@app/jobs';
import { http } from '../../../../test/support/http';
import { until } from '../../../../test/support/eventually';

import { startApi, type Api } from '../../../../test/support/api';
import { ImagesService } from './images.service';

/** Long enough for anything that must not happen. */
const MOMENT = 60;
const PANDA = readFileSync(join(__dirname, '../../../../test/fixtures/panda-on-purple.png'));
const ROUTE = '/v1/images/generations';

describe(`${ImagesService.name} as the process drains`, () => {
  let api: Api;
  let drain: Drain;
  /** Ends the picture that the engine is at. */
  let finish: () => void;

  beforeEach(async () => {
    api = await startApi({ DRAIN_SECONDS: '30' });
    drain = api.app.get(Drain);
    api.pipeline.work = (signal) =>
      new Promise((resolve, reject) => {
        finish = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
  });
  afterEach(async () => {
    drain.expire();
    await api.close();
  });

  const jobs = () => api.app.get(Jobs).list({ limit: 100 });
  const post = (prompt: string, headers: Record<string, string> = {}) =>
    http(api.url)
      .post(ROUTE)
      .set(headers)
      .send({ prompt })
      .then((reply) => reply);
  /** The job of a request that was sent, once it is there. */
  const jobOf = async (prompt: string): Promise<JobRecord> => {
    let job: JobRecord | undefined;
    await until(async () => {
      job = (await jobs()).jobs.find(({ picture }) => picture.prompt === prompt);
      return job !== undefined;
    });
    return job!;
  };
  /** A request whose picture an engine draws. */
  const running = async (headers?: Record<string, string>) => {
    const reply = post('running', headers);
    await until(async () => (await jobOf('running')).state === 'running');
    return reply;
  };

  it('should answer who waits for a running picture with the picture', async () => {
    const reply = running();
    await until(() => api.pipeline.requests.length > 0);
    const close = api.app.close();
    await sleep(MOMENT);
    finish();
    const { status, body } = await reply;
    expect(status).toBe(200);
    expect(body).toMatchObject({ data: [{ size: '128x128' }] });
    await close;
  });

  describe('should tell who waits behind it to come again, and', () => {
    const drained = async (headers: Record<string, string>) => {
      const first = running();
      await until(() => api.pipeline.requests.length > 0);
      const reply = post('waiting', headers);
      await jobOf('waiting');
      drain.begin();
      const answer = await reply;
      const job = await jobOf('waiting');
      finish();
      expect((await first).status).toBe(200);
      return { answer, job };
    };

    it('cancel a job whose picture nobody could fetch', async () => {
      const { answer, job } = await drained({});
      expect(answer.status).toBe(503);
      expect(answer.headers['retry-after']).toBe('10');
      expect(answer.body).toMatchObject({ error: { code: 'draining' } });
      expect(job).toMatchObject({
        state: 'cancelled',
        error: { message: expect.stringMatching(/shut down/) },
      });
    });

    it('keep the job of an Idempotency-Key for the next process', async () => {
      const { answer, job } = await drained({ 'idempotency-key': 'mine' });
      expect(answer.status).toBe(503);
      expect(job.state).toBe('queued');
    });

    it('hand the job to who set a time', async () => {
      const { answer, job } = await drained({ prefer: 'wait=60' });
      expect(answer.status).toBe(202);
      expect(answer.headers.location).toBe(`/v1/jobs/${job.id}`);
      expect(job.state).toBe('queued');
    });
  });

  it('should refuse new jobs at once, and serve all else while the port is open', async () => {
    const reply = post('kept', { prefer: 'respond-async' });
    const { id } = (await reply).body as { id: string };
    drain.begin();
    const refused = await post('late', { prefer: 'respond-async' });
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('10');
    expect(refused.body).toMatchObject({ error: { code: 'draining' } });
    const put = () => http(api.url).put('/v1/users/ann/avatar').type('image/png').send(PANDA);
    expect((await put()).status).toBe(200);
    expect((await http(api.url).get('/v1/users/ann/avatar')).status).toBe(200);
    expect((await http(api.url).get(`/v1/jobs/${id}`)).status).toBe(200);
    expect((await jobs()).jobs).toHaveLength(1);
    drain.expire();
    expect((await put()).status).toBe(503);
  });

  it.each([
    ['cancel the job', {}, 'cancelled'],
    ['leave the job of an Idempotency-Key to the next process', { 'idempotency-key': 'mine' }, 'queued'],
  ])('should answer 503 when the grace is over, and %s', async (_what, headers, state) => {
    const reply = running(headers);
    await until(() => api.pipeline.requests.length > 0);
    drain.begin();
    await sleep(MOMENT);
    drain.expire();
    expect((await reply).status).toBe(503);
    await until(async () => (await jobOf('running')).state === state);
  });

  it('should hand out a picture that is done the moment that the grace is over', async () => {
    const reply = running();
    await until(() => api.pipeline.requests.length > 0);
    const { id } = await jobOf('running');
    drain.begin();
    finish();
    await until(async () => {
      if ((await api.app.get(Jobs).get(id)).state !== 'succeeded') return false;
      drain.expire();
      return true;
    });
    expect((await reply).status).toBe(200);
  });
});
