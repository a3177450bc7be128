import { DiskSpace } from '@app/storage';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';

describe(DiskSpace.name, () => {
  let api: Api;
  const open = async (variables: Record<string, string> = {}) => (api = await startApi(variables));
  const submit = (key = 'one') =>
    http(api.url)
      .post('/v1/images/generations')
      .set('Prefer', 'respond-async')
      .set('Idempotency-Key', key)
      .send({ prompt: 'x' });
  afterEach(() => api.close());

  it('should be told in readiness and metrics', async () => {
    await open();
    const { body } = await http(api.url).get('/health/ready').expect(200);
    const { storage } = (body as { details: { storage: { status: string; free_bytes: number } } }).details;
    expect(storage).toMatchObject({ status: 'up', free_bytes: expect.any(Number) as number });
    const { text } = await http(api.url).get('/metrics');
    const [, told] = /^image_disk_free_bytes (\S+)$/m.exec(text)!;
    // Others use the disk, too.
    expect(Math.abs(Number(told) - storage.free_bytes)).toBeLessThan(storage.free_bytes / 2);
  });

  it('should refuse jobs while it is short, say so in readiness, and know accepted ones', async () => {
    await open();
    const accepted = await submit().expect(202);
    const free = jest.spyOn(api.app.get(DiskSpace, { strict: false }), 'free').mockResolvedValue(511_999_999);
    const refused = await submit('two').expect(503);
    const sentence =
      'The disk of DATA_DIR has 511 MB left, less than MIN_FREE_DISK_MB (512): no job is accepted';
    expect(refused.body).toMatchObject({ error: { code: 'storage_unavailable', message: sentence } });
    expect(refused.headers['retry-after']).toBeDefined();
    const again = await submit().expect(202);
    expect((again.body as { id: string }).id).toBe((accepted.body as { id: string }).id);
    const ready = await http(api.url).get('/health/ready').expect(503);
    expect(ready.body).toMatchObject({ details: { storage: { status: 'down', reason: sentence } } });
    free.mockResolvedValue(512_000_000);
    await submit('two').expect(202);
  });

  it('should refuse nothing where it is not to be watched', async () => {
    await open({ MIN_FREE_DISK_MB: '0' });
    jest.spyOn(api.app.get(DiskSpace, { strict: false }), 'free').mockResolvedValue(0);
    await submit().expect(202);
  });

  it('should refuse when a real disk is short', async () => {
    await open({ MIN_FREE_DISK_MB: '100000000' });
    await submit().expect(503);
  });
});
