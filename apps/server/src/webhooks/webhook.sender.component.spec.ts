import { Logger } from '@nestjs/common';
import { Webhook } from 'standardwebhooks';
import { loadConfig } from '@app/config';
import type { JobRecord, WebhookDelivery, WebhookEvent } from '@app/jobs';
import { until } from '../../../../test/support/eventually';
import { JobStoreStub } from '../../../../test/support/job.store.stub';
import { WebhookReceiver } from '../../../../test/support/webhook.receiver';
import { stopWallClock } from '../../../../test/support/wall.clock';
import { MAX_DELIVERY_ATTEMPTS, RETRY_DELAYS } from '../../../../libs/jobs/webhook.outbox';
import { WebhookSender } from './webhook.sender';

const NOW = Date.parse('2026-03-01T12:00:00.700Z');
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;

describe(WebhookSender.name, () => {
  const senders: WebhookSender[] = [];
  let receiver: WebhookReceiver;
  let store: JobStoreStub;
  let warn: jest.SpyInstance;

  beforeEach(async () => {
    stopWallClock(NOW);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    store = new JobStoreStub();
    receiver = await WebhookReceiver.start();
  });
  afterEach(async () => {
    await Promise.all(senders.splice(0).map((sender) => sender.beforeApplicationShutdown()));
    await receiver.stop();
    warn.mockRestore();
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  function send(variables: Record<string, string> = {}): WebhookSender {
    const config = loadConfig({
      WEBHOOK_SECRET,
      WEBHOOK_URL_ALLOW: '127.0.0.1',
      ...variables,
    });
    const payload = { job: ({ id, state }: JobRecord) => Promise.resolve({ id, object: 'job', state }) };
    const sender = new WebhookSender(store.jobs(), payload, config);
    senders.push(sender);
    sender.poke();
    return sender;
  }

  const delivery = (event: WebhookEvent, more: Partial<WebhookDelivery> = {}): WebhookDelivery => ({
    event,
    at: NOW - 1500,
    attempts: 0,
    status: 'pending',
    nextAt: NOW - 1500,
    ...more,
  });
  function put(id: string, ...deliveries: WebhookDelivery[]): void {
    const events = deliveries.map(({ event }) => event);
    store.put({
      id,
      state: 'succeeded',
      webhook: { url: receiver.url, events, deliveries },
    } as unknown as JobRecord);
  }
  const deliveryOf = (id: string, index = 0) => store.get(id)!.webhook!.deliveries[index];

  it('should post a signed message as Standard Webhooks has it', async () => {
    put('a1', delivery('job.running'), delivery('job.succeeded', { at: NOW - 20 }));
    send();
    await until(() => deliveryOf('a1').status === 'delivered' && deliveryOf('a1', 1).status === 'delivered');
    expect(receiver.received).toHaveLength(2);
    const { headers, body } = receiver.received.find(({ headers }) => headers['webhook-id'] === 'a1-1')!;
    expect(new Webhook(WEBHOOK_SECRET).verify(body, headers)).toEqual({
      type: 'job.succeeded',
      timestamp: '2026-03-01T12:00:00.680Z',
      data: { id: 'a1', object: 'job', state: 'succeeded' },
    });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^sdxl-image-service\/\d/),
      'webhook-timestamp': String(Math.floor(NOW / 1000)),
    });
    expect(deliveryOf('a1', 1)).toEqual({
      event: 'job.succeeded',
      at: NOW - 20,
      attempts: 1,
      status: 'delivered',
      outcome: '200',
    });
  });

  it('should try again after a 500, later, with the same id', async () => {
    receiver.answer = () => (receiver.received.length === 1 ? 500 : 204);
    put('a1', delivery('job.succeeded'));
    const sender = send();
    await until(() => deliveryOf('a1').outcome === '500');
    const { status, attempts, nextAt } = deliveryOf('a1');
    expect({ status, attempts }).toEqual({ status: 'pending', attempts: 1 });
    expect(nextAt).toBeGreaterThanOrEqual(NOW + 4500);
    expect(nextAt).toBeLessThanOrEqual(NOW + 5500);

    jest.setSystemTime(nextAt! - 1);
    await swept(sender);
    expect(receiver.received).toHaveLength(1);
    jest.setSystemTime(nextAt);
    sender.poke();
    await until(() => deliveryOf('a1').status === 'delivered');
    expect(deliveryOf('a1')).toMatchObject({ attempts: 2, outcome: '204' });
    expect(receiver.ids).toEqual(['a1-0', 'a1-0']);
    const { headers, body } = receiver.received[1];
    expect(new Webhook(WEBHOOK_SECRET).verify(body, headers)).toBeDefined();
  });

  it('should give up after its last attempt, having waited longer each time', async () => {
    receiver.answer = () => 503;
    put('a1', delivery('job.succeeded'));
    const sender = send();
    for (let attempt = 1; attempt < MAX_DELIVERY_ATTEMPTS; attempt++) {
      await until(() => receiver.received.length === attempt && deliveryOf('a1').outcome === '503');
      await swept(sender);
      const { nextAt } = deliveryOf('a1');
      const delay = (nextAt! - Date.now()) / RETRY_DELAYS[attempt - 1];
      expect(delay).toBeGreaterThanOrEqual(0.9);
      expect(delay).toBeLessThanOrEqual(1.1);
      jest.setSystemTime(nextAt);
      sender.poke();
    }
    await until(() => deliveryOf('a1').status === 'failed');
    expect(deliveryOf('a1')).toEqual({
      event: 'job.succeeded',
      at: NOW - 1500,
      attempts: 8,
      status: 'failed',
      outcome: '503',
    });
    jest.setSystemTime(Date.now() + 24 * 3600 * 1000);
    await swept(sender);
    expect(receiver.received).toHaveLength(8);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(expect.not.stringContaining('127.0.0.1'));
  });

  it('should never come again to a receiver that is gone', async () => {
    receiver.answer = () => 410;
    put('a1', delivery('job.succeeded'));
    send();
    await until(() => deliveryOf('a1').status === 'failed');
    expect(deliveryOf('a1')).toMatchObject({ attempts: 1, outcome: '410' });
    expect(deliveryOf('a1').nextAt).toBeUndefined();
  });

  it('should send once when two processes look at the same records', async () => {
    for (let i = 0; i < 30; i++) put(`b${i}`, delivery('job.succeeded'));
    send();
    send();
    await until(() => [...Array(30).keys()].every((i) => deliveryOf(`b${i}`).status === 'delivered'));
    expect(receiver.received).toHaveLength(30);
    expect(new Set(receiver.ids).size).toBe(30);
  });

  it('should have at most eight on their way to one host', async () => {
    receiver.answer = () => 'silence';
    for (let i = 0; i < 12; i++) put(`b${i}`, delivery('job.succeeded'));
    const sender = send();
    await until(() => receiver.received.length === 8);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(receiver.received).toHaveLength(8);
    const claimed = () => [...Array(12).keys()].filter((i) => deliveryOf(`b${i}`).attempts === 1);
    await sender.beforeApplicationShutdown();
    expect(claimed()).toHaveLength(0);
  });

  it('should put back at shutdown what is on its way, for the next process', async () => {
    receiver.answer = () => 'silence';
    put('a1', delivery('job.succeeded'));
    const first = send();
    await until(() => receiver.received.length === 1);
    await first.beforeApplicationShutdown();
    expect(deliveryOf('a1')).toMatchObject({ status: 'pending', attempts: 0, nextAt: NOW });
    first.poke();

    receiver.answer = () => 200;
    send();
    await until(() => deliveryOf('a1').status === 'delivered');
    expect(deliveryOf('a1').attempts).toBe(1);
    expect(receiver.ids).toEqual(['a1-0', 'a1-0']);
  });

  it('should send what a process that was killed had claimed, once the claim has run out', async () => {
    put('a1', delivery('job.succeeded', { attempts: 1, nextAt: NOW + 60_000 }));
    const sender = send();
    await swept(sender);
    expect(receiver.received).toHaveLength(0);
    jest.setSystemTime(NOW + 60_000);
    sender.poke();
    await until(() => deliveryOf('a1').status === 'delivered');
    expect(deliveryOf('a1').attempts).toBe(2);
  });

  it('should look by itself, and go on after the store failed', async () => {
    jest.spyOn(store, 'webhooksDue').mockRejectedValueOnce(new Error('disk full'));
    const sender = send();
    await swept(sender);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('disk full'));
    sender.onApplicationBootstrap();
    await swept(sender);
    put('a1', delivery('job.succeeded'));
    await until(() => deliveryOf('a1').status === 'delivered');
  });

  it('should send nothing without a secret', async () => {
    const looks = jest.spyOn(store, 'webhooksDue');
    put('a1', delivery('job.succeeded'));
    await swept(send({ WEBHOOK_SECRET: '' }));
    expect(looks).not.toHaveBeenCalled();
    expect(receiver.received).toHaveLength(0);
  });

  /** Resolves when the sender has looked at the store and all that it started has ended. */
  async function swept(sender: WebhookSender): Promise<void> {
    sender.poke();
    await sender.idle();
  }
});
