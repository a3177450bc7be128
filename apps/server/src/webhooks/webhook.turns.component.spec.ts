import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { loadConfig } from '@app/config';
import type { JobRecord, WebhookDelivery } from '@app/jobs';
import { until } from '../../../../test/support/eventually';
import { JobStoreStub } from '../../../../test/support/job.store.stub';
import { freePorts } from '../../../../test/support/ports';
import { WebhookReceiver } from '../../../../test/support/webhook.receiver';
import { stopWallClock } from '../../../../test/support/wall.clock';
import { WebhookSender } from './webhook.sender';

const NOW = Date.parse('2026-03-01T12:00:00.700Z');
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const HOUR = 3_600_000;

describe('Webhooks of many callers', () => {
  let store: JobStoreStub;
  let sender: WebhookSender;
  let receiver: WebhookReceiver;
  /** Takes messages and never answers. */
  let silent: Server;
  let silentUrl: string;
  let open: number;
  /** `webhook-id` of each, and what answers it after all. */
  let asked: string[];
  let answers: (() => void)[];

  beforeEach(async () => {
    stopWallClock(NOW);
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    store = new JobStoreStub();
    receiver = await WebhookReceiver.start();
    open = 0;
    asked = [];
    answers = [];
    silent = createServer((request, response) => {
      open++;
      request.socket.once('close', () => open--);
      asked.push(request.headers['webhook-id'] as string);
      answers.push(() => response.end());
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.2', resolve));
    silentUrl = `http://127.0.0.2:${(silent.address() as AddressInfo).port}/`;
    const config = loadConfig({ WEBHOOK_SECRET, WEBHOOK_URL_ALLOW: '127.0.0.0/8' });
    const payload = { job: ({ id }: JobRecord) => Promise.resolve({ id }) };
    sender = new WebhookSender(store.jobs(), payload, config);
  });
  afterEach(async () => {
    await sender.beforeApplicationShutdown();
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
    await receiver.stop();
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  interface Message extends Partial<WebhookDelivery> {
    readonly url: string;
    readonly account?: string;
    readonly caller?: string;
  }
  function put(id: string, { url, account = 'key:a', caller = 'ann', ...more }: Message): void {
    const delivery = {
      event: 'job.succeeded',
      at: NOW - 1500,
      attempts: 0,
      status: 'pending',
      nextAt: NOW - 1500,
    };
    const webhook = { url, events: ['job.succeeded'], deliveries: [{ ...delivery, ...more }] };
    store.put({ id, account, caller, state: 'succeeded', webhook } as unknown as JobRecord);
  }
  function putMany(count: number, message: Message): void {
    for (let n = 0; n < count; n++) put(`many${n}`, message);
  }
  const delivery = (id: string) => store.get(id)!.webhook!.deliveries[0];
  /** Of those that putMany put. */
  const outcomes = (count: number) =>
    new Set(Array.from({ length: count }, (_, n) => delivery(`many${n}`).outcome));
  const delivered = (id: string) => until(() => delivery(id).status === 'delivered');

  it('should be sent for one caller while addresses of another never answer', async () => {
    putMany(40, { url: silentUrl });
    sender.poke();
    await until(() => open === 8);
    put('honest', { url: receiver.url, account: 'key:b' });
    sender.poke();
    await delivered('honest');
    expect([...outcomes(40)]).toEqual([undefined]);
    expect(open).toBe(8);
  });

  it('should be sent for one user of a key while addresses of another never answer', async () => {
    putMany(40, { url: silentUrl });
    put('honest', { url: receiver.url, caller: 'bob' });
    sender.poke();
    await delivered('honest');
    expect([...outcomes(40)]).toEqual([undefined]);
  });

  it('should be sent to one host while another never answers', async () => {
    putMany(40, { url: silentUrl });
    put('honest', { url: receiver.url });
    sender.poke();
    await delivered('honest');
    expect([...outcomes(40)]).toEqual([undefined]);
  });

  it('should be sent for one caller while more are due of another than can wait', async () => {
    putMany(400, { url: silentUrl });
    put('honest', { url: receiver.url, account: 'key:b', nextAt: NOW });
    sender.poke();
    await delivered('honest');
    const deliveries = Array.from({ length: 400 }, (_, n) => delivery(`many${n}`));
    expect([...outcomes(400)]).toEqual([undefined]);
    // 8 are on their way and 100 wait; the others come again soon, and have lost nothing.
    await until(() => deliveries.filter((_, n) => delivery(`many${n}`).attempts === 1).length === 108);
    const later = deliveries.map((_, n) => delivery(`many${n}`)).filter(({ attempts }) => attempts === 0);
    expect(later).toHaveLength(292);
    for (const { status, nextAt } of later) {
      expect(status).toBe('pending');
      expect(nextAt).toBeGreaterThanOrEqual(NOW + 4500);
      expect(nextAt).toBeLessThanOrEqual(NOW + 5500);
    }
  });

  it('should go before those that failed already', async () => {
    putMany(8, { url: silentUrl });
    sender.poke();
    await until(() => open === 8);
    for (let n = 0; n < 5; n++) put(`again${n}`, { url: silentUrl, attempts: 3, nextAt: NOW - 2000 });
    put('first', { url: silentUrl });
    sender.poke();
    await until(() => ['again4', 'first'].every((id) => delivery(id).nextAt! > NOW)); // claimed
    asked.length = 0;
    answers.shift()!();
    await until(() => asked.length === 1);
    expect(asked).toEqual(['first-0']);
    for (const answer of answers.splice(0)) answer();
    await until(() => asked.length === 6);
  });

  it('should leave a host alone for a while that did not answer', async () => {
    const [closed] = await freePorts(1);
    const url = `http://127.0.0.3:${closed}/`;
    put('one', { url });
    sender.poke();
    await until(() => delivery('one').outcome === 'connection refused');
    await sender.idle();
    put('two', { url });
    put('other', { url: receiver.url });
    put('stranger', { url, account: 'key:b' });
    sender.poke();
    await sender.idle();
    // Not even tried, and so nothing is lost; others are not concerned.
    expect(delivery('two')).toMatchObject({ status: 'pending', attempts: 0 });
    expect(delivery('two').outcome).toBeUndefined();
    expect(delivery('other').status).toBe('delivered');
    expect(delivery('stranger').outcome).toBe('connection refused');

    jest.setSystemTime(NOW + 6000);
    sender.poke();
    await sender.idle();
    expect(delivery('two')).toMatchObject({ attempts: 1, outcome: 'connection refused' });
  });

  it('should not leave a host alone that answers, whatever it answers', async () => {
    receiver.answer = () => 500;
    for (const id of ['one', 'two']) {
      put(id, { url: receiver.url });
      sender.poke();
      await sender.idle();
      expect(delivery(id).outcome).toBe('500');
    }
  });

  it('should be given up when they found no place for hours', async () => {
    const [closed] = await freePorts(1);
    const url = `http://127.0.0.3:${closed}/`;
    put('fresh', { url });
    sender.poke();
    await sender.idle();
    put('old', { url, at: NOW - 3 * HOUR, attempts: 2, outcome: 'timeout' });
    put('oldest', { url, at: NOW - 7 * HOUR, attempts: 2, outcome: 'timeout' });
    sender.poke();
    await sender.idle();
    expect(delivery('old')).toMatchObject({ status: 'pending', attempts: 2, outcome: 'timeout' });
    // The longer it has waited, the later it comes again.
    expect(delivery('old').nextAt! - NOW).toBeGreaterThan((0.9 * 3 * HOUR) / 8);
    expect(delivery('oldest')).toMatchObject({ status: 'failed', attempts: 2, outcome: 'timeout' });
    expect(delivery('oldest').nextAt).toBeUndefined();
  });
});
