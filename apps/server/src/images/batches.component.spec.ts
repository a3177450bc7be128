import sharp from 'sharp';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';

interface Picture {
  readonly id: string;
  readonly data: readonly { readonly url: string; readonly seed: number; readonly s3_uri: string }[];
}

describe('Several pictures of one request', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());

  const post = (body: object, headers: Record<string, string> = {}) =>
    http(api.url)
      .post('/v1/images/generations')
      .set(headers)
      .send({ prompt: 'a fox', size: '64x64', ...body });
  const draw = async (...of: Parameters<typeof post>) => (await post(...of).expect(200)).body as Picture;
  const paths = ({ data }: Picture) => data.map(({ url }) => new URL(url).pathname);
  const firstByte = async (path: string) => {
    const { body } = await http(api.url).get(path).buffer(true).expect(200);
    return (
      await sharp(body as Buffer)
        .raw()
        .toBuffer()
    )[0];
  };
  const stored = async () => {
    const found: string[] = [];
    for await (const { key } of api.storage.list('generated/')) found.push(key);
    return found.sort();
  };

  it('should be one job, whose pictures have the seeds from the given one on, each at an address of its own', async () => {
    const made = await draw({ n: 3, seed: 7, user: 'ann' });
    expect(api.pipeline.requests).toMatchObject([{ count: 3, seed: 7 }]);
    expect(made.data.map(({ seed }) => seed)).toEqual([7, 8, 9]);
    const key = `generated/ann/generations_${made.id}`;
    expect(made.data.map(({ s3_uri }) => s3_uri)).toEqual(
      ['', '-2', '-3'].map((which) => `s3://local/${key}${which}.png`),
    );
    expect(await Promise.all(paths(made).map(firstByte))).toEqual([7, 8, 9]);
    const { body } = await http(api.url).get(`/v1/jobs/${made.id}`).expect(200);
    expect(body).toMatchObject({
      progress: { phase: 'done', step: 150, steps: 150 },
      result: { data: [{ seed: 7 }, { seed: 8 }, { seed: 9 }] },
    });
  });

  it('should be one picture where n is 1 or left out, in the words of older workers', async () => {
    for (const n of [1, null, undefined]) expect((await draw({ n })).data).toHaveLength(1);
    for (const request of api.pipeline.requests) expect(request).not.toHaveProperty('count');
  });

  it('should be at most MAX_IMAGES, and of seeds that there are', async () => {
    const refused = async (body: object) => (await post(body).expect(400)).body as object;
    expect(await refused({ n: 5 })).toMatchObject({
      error: { param: 'n', message: 'Expected at most 4 (MAX_IMAGES) for n but received 5' },
    });
    expect(await refused({ n: 17 })).toMatchObject({
      error: { param: 'n', message: 'Expected a whole number from 1 to 16 for n but received 17' },
    });
    expect(await refused({ n: 2, seed: 4_294_967_295 })).toMatchObject({
      error: {
        param: 'seed',
        message: expect.stringContaining('Expected at most 4294967294 for seed') as string,
      },
    });
    expect((await draw({ n: 2, seed: 4_294_967_294 })).data[1].seed).toBe(4_294_967_295);
  });

  it('should be deleted one by one, and with the last the job', async () => {
    const once = { 'Idempotency-Key': 'once' };
    const made = await draw({ n: 3, seed: 7 }, once);
    const [first, second, third] = paths(made);
    await http(api.url).delete(first).expect(204);
    await http(api.url).get(first).expect(404);
    const { body } = await http(api.url).get(`/v1/jobs/${made.id}`).expect(200);
    expect((body as { result: Picture }).result.data.map(({ seed }) => seed)).toEqual([8, 9]);
    // The same request has had three: two would be another reply.
    expect((await post({ n: 3, seed: 7 }, once)).body).toMatchObject({ error: { code: 'result_gone' } });
    await http(api.url).delete(third).expect(204);
    await http(api.url).delete(third).expect(204);
    await http(api.url).get(second).expect(200);
    await http(api.url).delete(second).expect(204);
    await http(api.url).get(`/v1/jobs/${made.id}`).expect(404);
    expect((await draw({ n: 3, seed: 7 }, once)).id).not.toBe(made.id);
  });

  it('should be deleted together with their job or user', async () => {
    const job = await draw({ n: 2 });
    await draw({ n: 2, user: 'ann' });
    expect(await stored()).toHaveLength(4);
    await http(api.url).delete(`/v1/jobs/${job.id}`).expect(204);
    await http(api.url).delete('/v1/users/ann').expect(204);
    expect(await stored()).toEqual([]);
  });

  it('should be answered again under an Idempotency-Key while all are kept', async () => {
    const once = { 'Idempotency-Key': 'once' };
    const made = await draw({ n: 2 }, once);
    expect((await draw({ n: 2 }, once)).data.map(({ s3_uri }) => s3_uri)).toEqual(
      made.data.map(({ s3_uri }) => s3_uri),
    );
    await api.storage.delete(made.data[1].s3_uri.replace('s3://local/', ''));
    expect((await post({ n: 2 }, once)).body).toMatchObject({ error: { code: 'result_gone' } });
  });
});
