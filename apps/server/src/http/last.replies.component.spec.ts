import { Agent, get, type IncomingMessage } from 'node:http';
import { Drain } from '@app/lifecycle';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { lastReplies } from './last.replies';

describe(lastReplies.name, () => {
  let api: Api;
  let drain: Drain;
  beforeEach(async () => {
    api = await startApi({ SHUTDOWN_DELAY: '300' });
    drain = api.app.get(Drain);
  });
  afterEach(async () => {
    drain.hurry();
    await api.close();
  });

  const connectionOf = (path: string, agent: Agent) =>
    new Promise<string | undefined>((resolve, reject) => {
      const onReply = (reply: IncomingMessage) => {
        reply.resume().once('end', () => resolve(reply.headers.connection));
      };
      get(api.url + path, { agent }, onReply).on('error', reject);
    });

  it('should answer all but jobs while the port stays open, and on no connection twice', async () => {
    const agent = new Agent({ keepAlive: true });
    expect(await connectionOf('/v1/jobs', agent)).toBe('keep-alive');
    drain.beginDelayed();
    const closed = api.app.close(); // as Nest does at a signal
    const paths = ['/v1/jobs', '/health/live', '/health/ready', '/metrics', '/docs/', '/nothing'];
    for (const path of paths) expect([path, await connectionOf(path, agent)]).toEqual([path, 'close']);
    const statuses = paths.map(async (path) => (await http(api.url).get(path)).status);
    expect(await Promise.all(statuses)).toEqual([200, 200, 503, 200, 200, 404]);
    const { status, body } = await http(api.url).post('/v1/images/generations').send({ prompt: 'x' });
    expect({ status, body: body as unknown }).toMatchObject({
      status: 503,
      body: { error: { code: 'draining' } },
    });
    drain.hurry();
    await closed;
    await expect(connectionOf('/health/live', agent)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('should close the connection of who waited for a reply when the drain began', async () => {
    const held = api.pipeline.hold();
    const reply = http(api.url)
      .post('/v1/images/generations')
      .set('Connection', 'keep-alive')
      .send({ prompt: 'x' });
    const answer = reply.then(({ status, headers }) => ({
      status,
      connection: headers.connection,
    }));
    await held;
    drain.begin();
    expect(await answer).toEqual({ status: 503, connection: 'close' });
  });
});
