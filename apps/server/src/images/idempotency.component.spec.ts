import { Jobs } from '@app/jobs';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';

describe('An Idempotency-Key', () => {
  let api: Api;
  afterEach(() => api.close());

  const post = async (body: object = {}) => {
    const request = http(api.url).post('/v1/images/generations').set('Idempotency-Key', 'once');
    const reply = await request.send({ prompt: 'a fox', user: 'ann', ...body });
    const { id, error } = reply.body as { id: string; error?: { code: string; message: string } };
    return { status: reply.status, id, code: error?.code, message: error?.message };
  };
  const keyOf = (id: string) => `generated/ann/generations_${id}.png`;

  it('should answer for its time by itself: a job that was forgotten is not drawn twice', async () => {
    api = await startApi({ JOB_TTL: '1' });
    const { id } = await post();
    const jobs = api.app.get(Jobs);
    await until(async () => (await jobs.find(id)) === undefined);
    expect(await post()).toMatchObject({ status: 410, code: 'result_gone' });
    expect(await post({ prompt: 'another' })).toMatchObject({ status: 422, code: 'idempotency_mismatch' });
    expect(api.pipeline.requests).toHaveLength(1);
    await http(api.url)
      .get(`/images/${keyOf(id)}`)
      .expect(200);
  });

  it('should give no link to an image that is gone', async () => {
    api = await startApi();
    const { id } = await post();
    expect(await post()).toMatchObject({ status: 200, id });
    await api.storage.delete(keyOf(id));
    expect(await post()).toMatchObject({ status: 410, code: 'result_gone' });
    expect(api.pipeline.requests).toHaveLength(1);
  });

  it.each([
    ['job', (id: string) => `/v1/jobs/${id}`],
    ['image', (id: string) => `/images/${keyOf(id)}`],
    ['user', () => '/v1/users/ann'],
  ])('should be free when its %s is deleted', async (_, path) => {
    api = await startApi();
    const { id } = await post();
    await http(api.url).delete(path(id)).expect(204);
    const again = await post();
    expect(again).toMatchObject({ status: 200 });
    expect(again.id).not.toBe(id);
  });

  it('should say so when the image of a job that was forgotten is deleted', async () => {
    api = await startApi({ JOB_TTL: '1' });
    const { id } = await post();
    const jobs = api.app.get(Jobs);
    await until(async () => (await jobs.find(id)) === undefined);
    await http(api.url)
      .delete(`/images/${keyOf(id)}`)
      .expect(204);
    expect(await post()).toMatchObject({ status: 410, code: 'result_gone' });
  });
});
