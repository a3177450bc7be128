import dns from 'node:dns';
import { loadConfig } from '@app/config';
import { AddressPolicy } from '@app/outbound';
import { NameServer } from '../../../test/support/name.server';
import { WebhookReceiver } from '../../../test/support/webhook.receiver';
import { ReferenceFetcher } from './images/reference.fetcher';
import { WebhookAddress } from './webhooks/webhook.address';
import { WebhookClient } from './webhooks/webhook.client';

const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const never = new AbortController().signal;
const names = (prefix: string, count = 20) =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}.example`);

describe('Names that strangers choose', () => {
  let server: NameServer;
  let receiver: WebhookReceiver;
  let lookup: jest.SpyInstance;
  let fetcher: ReferenceFetcher;
  let client: WebhookClient;
  let address: WebhookAddress;

  beforeEach(async () => {
    server = await NameServer.start();
    server.takeOver();
    receiver = await WebhookReceiver.start();
    lookup = jest.spyOn(dns, 'lookup');
    use({});
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all([fetcher.onApplicationShutdown(), client.close(), server.stop(), receiver.stop()]);
  });

  function use(variables: Record<string, string>): void {
    const config = loadConfig({ WEBHOOK_SECRET, ...variables });
    fetcher = new ReferenceFetcher(config);
    client = new WebhookClient(config);
    address = new WebhookAddress(config);
  }
  const post = (host: string, port = new URL(receiver.url).port) =>
    client.post({ id: 'a-0', url: `http://${host}:${port}/`, body: '{}' }, never);

  it('should leave the system to the names of the operator while name servers are silent', async () => {
    server.answer = () => 'silence';
    const outcomes = Promise.all([
      ...names('hook').map((name) => post(name)),
      ...names('check').map((name) => address.check(`http://${name}/`)),
      ...names('picture').map((name) => fetcher.fetch(`http://${name}/`, never).catch(() => 'no picture')),
    ]);
    const found = await dns.promises.lookup('localhost');
    expect(found.address).toMatch(/^127\.0\.0\.1$|^::1$/);
    expect(await outcomes).toEqual([
      ...Array<string>(20).fill('name not found'),
      ...Array<undefined>(20).fill(undefined),
      ...Array<string>(20).fill('no picture'),
    ]);
    expect(lookup).not.toHaveBeenCalled();
    expect(new Set(server.asked.map((question) => question.split(' ')[0])).size).toBe(60);
  });

  it('should be judged by what name servers answer, also when one of two questions is never answered', async () => {
    use({ WEBHOOK_URL_ALLOW: '127.0.0.0/8' });
    server.answer = () => ['127.0.0.1'];
    expect(await post('hooks.example')).toBe('200');
    // IPv4 is asked first.
    server.answer = (name) => (server.asked.at(-1) === `${name} 1` ? ['127.0.0.1'] : 'silence');
    expect(await post('half.example')).toBe('200');
    expect(lookup).not.toHaveBeenCalled();
  });

  it('should be judged by the hosts file first', async () => {
    use({ WEBHOOK_URL_ALLOW: '127.0.0.0/8,::1' });
    server.answer = () => ['10.0.0.1'];
    expect(await post('localhost')).toBe('200');
    expect(await post('LOCALHOST.')).toBe('200');
    expect(server.asked).toEqual([]);
  });

  it('should be looked up by the system where the operator names them, once at a time', async () => {
    use({ WEBHOOK_URL_ALLOW: 'hooks.internal' });
    const answers: (() => void)[] = [];
    lookup.mockImplementation(((_host: string, _options: object, callback: (...found: unknown[]) => void) =>
      answers.push(() => callback(null, [{ address: '127.0.0.1', family: 4 }]))) as never);
    await address.check('http://hooks.internal/'); // nothing to find out
    expect(lookup).not.toHaveBeenCalled();
    const policy = new AddressPolicy(['hooks.internal']);
    const resolve = () =>
      new Promise((done) =>
        policy.lookup(8080)('Hooks.internal', { all: true }, (_error, found) => done(found)),
      );
    const found = Promise.all([resolve(), resolve()]);
    expect(answers).toHaveLength(1);
    answers[0]();
    expect(await found).toEqual(Array(2).fill([{ address: '127.0.0.1', family: 4 }]));
    void resolve();
    expect(answers).toHaveLength(2);
    answers[1]();
    expect(server.asked).toEqual([]);
  });

  it('should not be judged early when very many are', async () => {
    server.answer = () => 'silence';
    const pending = Promise.all(names('name', 64).map((name) => address.check(`http://${name}/`)));
    server.answer = () => ['10.0.0.1'];
    await expect(address.check('http://one-more.example/')).resolves.toBeUndefined();
    expect(server.asked.filter((question) => question.startsWith('one-more'))).toEqual([]);
    await pending.catch(() => undefined);
    await expect(address.check('http://one-more.example/')).rejects.toThrow(/public address/);
  });
});
