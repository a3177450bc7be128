import { Webhook } from 'standardwebhooks';
import { loadConfig } from '@app/config';
import { resolveTo } from '../../../../test/support/name.server';
import { freePorts } from '../../../../test/support/ports';
import { WebhookReceiver } from '../../../../test/support/webhook.receiver';
import { WebhookAddress } from './webhook.address';
import { WebhookClient } from './webhook.client';

const NEW_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const OLD_SECRET = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
const BODY = JSON.stringify({ type: 'job.succeeded', data: { prompt: 'ünï 😀' } });
const never = new AbortController().signal;

describe(WebhookClient.name, () => {
  const clients: WebhookClient[] = [];
  let receiver: WebhookReceiver;

  beforeEach(async () => {
    receiver = await WebhookReceiver.start();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await receiver.stop();
  });

  function client(variables: Record<string, string> = {}): WebhookClient {
    const made = new WebhookClient(
      loadConfig({ WEBHOOK_SECRET: NEW_SECRET, WEBHOOK_URL_ALLOW: '127.0.0.1', ...variables }),
    );
    clients.push(made);
    return made;
  }
  const message = (url = receiver.url) => ({ id: 'a1-0', url, body: BODY });

  it('should post a message that the library of Standard Webhooks verifies', async () => {
    const before = Math.floor(Date.now() / 1000);
    expect(await client().post(message(), never)).toBe('200');
    const [{ headers, body }] = receiver.received;
    expect(new Webhook(NEW_SECRET).verify(body, headers)).toEqual(JSON.parse(BODY));
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^sdxl-image-service\/\d/),
      'webhook-id': 'a1-0',
    });
    expect(Number(headers['webhook-timestamp'])).toBeGreaterThanOrEqual(before);
  });

  it('should sign by both secrets while one replaces the other, the new one first', async () => {
    await client({ WEBHOOK_SECRET: `${NEW_SECRET},${OLD_SECRET}` }).post(message(), never);
    const [{ headers, body }] = receiver.received;
    for (const secret of [NEW_SECRET, OLD_SECRET]) {
      expect(new Webhook(secret).verify(body, headers)).toBeDefined();
    }
    const [first] = headers['webhook-signature'].split(' ');
    const date = new Date(Number(headers['webhook-timestamp']) * 1000);
    expect(first).toBe(new Webhook(NEW_SECRET).sign('a1-0', date, body));
    const stranger = new Webhook(`whsec_${Buffer.alloc(24, 3).toString('base64')}`);
    expect(() => stranger.verify(body, headers)).toThrow('No matching signature');
  });

  it('should not follow a redirect', async () => {
    receiver.answer = () => 307;
    expect(await client().post(message(), never)).toBe('307');
    expect(receiver.received).toHaveLength(1);
  });

  it('should give up on an answer that does not come', async () => {
    receiver.answer = () => 'silence';
    const hasty = client();
    hasty.timeout = 100;
    expect(await hasty.post(message(), never)).toBe('timeout');
  });

  it('should tell a port where nothing listens, and a name that there is not', async () => {
    const [closed] = await freePorts(1);
    expect(await client().post(message(`http://127.0.0.1:${closed}/`), never)).toBe('connection refused');
    resolveTo(undefined);
    expect(await client().post(message('http://hooks.example/'), never)).toBe('name not found');
  });

  it('should not connect to a private address', async () => {
    const strict = client({ WEBHOOK_URL_ALLOW: '' });
    expect(await strict.post(message(), never)).toBe('refused address');
    expect(receiver.received).toHaveLength(0);
  });

  it('should not connect to a private address behind a name that was fine when it was checked', async () => {
    const strict = client({ WEBHOOK_URL_ALLOW: '' });
    const url = 'http://hooks.example/hook';
    resolveTo('93.184.215.14');
    await new WebhookAddress(loadConfig({ WEBHOOK_SECRET: NEW_SECRET })).check(url);
    resolveTo('127.0.0.1');
    expect(await strict.post(message(url), never)).toBe('refused address');
    expect(receiver.received).toHaveLength(0);
  });

  it('should stop when it is told to', async () => {
    const stop = new AbortController();
    receiver.answer = () => {
      stop.abort(new Error('shutting down'));
      return 'silence';
    };
    await expect(client().post(message(), stop.signal)).rejects.toThrow('shutting down');
  });
});
