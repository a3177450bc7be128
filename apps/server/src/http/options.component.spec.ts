import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { answerOptions } from './options';

describe(answerOptions.name, () => {
  let api: Api;

  beforeAll(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([key('ann', ['read']).entry]) });
  });
  afterAll(() => api.close());

  it.each([
    ['/v1/images/generations', 'POST, OPTIONS'],
    ['/v1/jobs/0123456789abcdef01234567', 'GET, DELETE, HEAD, OPTIONS'],
  ])('should name the methods of %s to whoever asks', async (path, allow) => {
    const { status, headers, text } = await http(api.url).options(path);
    expect({ status, allow: headers.allow, text }).toEqual({ status: 204, allow, text: '' });
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  it('should tell a stranger nothing of paths that are not there', async () => {
    expect((await http(api.url).options('/v1/nothing')).status).toBe(401);
  });
});
