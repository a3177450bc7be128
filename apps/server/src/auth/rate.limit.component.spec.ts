import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import express from 'express';
import { loadConfig } from '@app/config';
import { ServiceError } from '@app/errors';
import { RedisConnection } from '@app/jobs';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { REDIS_SERVER, RedisServer } from '../../../../test/support/redis.server';
import { describeWith } from '../../../../test/support/requires';
import { RateLimit } from './rate.limit';

const chat = key('chat', ['read']);
const shop = key('shop', ['draw']);
const PATH = '/v1/loras';

describe(RateLimit.name, () => {
  let api: Api | undefined;
  const start = (variables: Record<string, string>) =>
    startApi({ API_KEYS: JSON.stringify([chat.entry, shop.entry]), ...variables });
  afterEach(() => api?.close());

  const statuses = async (times: number, path: string, header: Record<string, string> = {}) => {
    const found: number[] = [];
    for (let i = 0; i < times; i++) found.push((await http(api!.url).get(path).set(header)).status);
    return found;
  };

  it('should count by key, also what its scopes forbid, and tell how many may come', async () => {
    api = await start({ RATE_LIMIT_PER_KEY: '2' });
    const first = await http(api.url).get(PATH).set(chat.header).expect(200);
    expect(first.headers.ratelimit).toMatch(/^"key"; r=1; t=\d+$/);
    expect(first.headers['ratelimit-policy']).toMatch(/^"key"; q=2; w=60; pk=:.+:$/);
    expect(first.headers['x-ratelimit-limit']).toBeUndefined();
    expect(await statuses(2, PATH, chat.header)).toEqual([200, 429]);
    expect(await statuses(3, PATH, shop.header)).toEqual([403, 403, 429]);

    const { body, headers } = await http(api.url).get(PATH).set(chat.header).expect(429);
    expect(body).toEqual({
      error: {
        message: 'Expected at most 2 requests a minute from this key; send the request again later',
        type: 'rate_limit_error',
        param: null,
        code: 'rate_limited',
      },
      request_id: headers['x-request-id'],
    });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
  });

  it('should count wrong keys and none by address, and let keys from there pass', async () => {
    api = await start({ RATE_LIMIT_PER_ADDRESS: '3' });
    expect(await statuses(2, PATH, { authorization: 'Bearer wrong' })).toEqual([401, 401]);
    expect(await statuses(2, '/')).toEqual([200, 429]);
    expect(await statuses(2, PATH, chat.header)).toEqual([200, 200]);
  });

  it('should never count health, nor anything with 0', async () => {
    api = await start({ RATE_LIMIT_PER_ADDRESS: '1', RATE_LIMIT_PER_KEY: '0' });
    expect(await statuses(3, '/health/live')).toEqual([200, 200, 200]);
    expect(await statuses(3, PATH, chat.header)).toEqual([200, 200, 200]);
    expect(await statuses(2, '/')).toEqual([200, 429]);
  });

  it('should believe as many proxies as there are, and count IPv6 by /56', async () => {
    api = await start({ RATE_LIMIT_PER_ADDRESS: '1', TRUST_PROXY: '1' });
    const from = async (address: string) => (await statuses(1, '/', { 'x-forwarded-for': address }))[0];
    expect(await from('192.0.2.1')).toBe(200);
    expect(await from('192.0.2.1')).toBe(429);
    expect(await from('198.51.100.7, 192.0.2.1')).toBe(429); // the first was written by the caller
    expect(await from('192.0.2.2')).toBe(200);
    expect(await from('2001:db8:0:100::1')).toBe(200);
    expect(await from('2001:db8:0:1ff::2')).toBe(429);
    expect(await from('2001:db8:0:200::1')).toBe(200);
  });

  it('should believe nobody by default', async () => {
    api = await start({ RATE_LIMIT_PER_ADDRESS: '1' });
    expect(await statuses(1, '/', { 'x-forwarded-for': '192.0.2.1' })).toEqual([200]);
    expect(await statuses(1, '/', { 'x-forwarded-for': '192.0.2.2' })).toEqual([429]);
  });
});

describeWith(REDIS_SERVER, `${RateLimit.name} with Redis`, () => {
  let redis: RedisServer;
  let warn: jest.SpyInstance;
  const connections: RedisConnection[] = [];
  const servers: Server[] = [];

  /** A process of the service, as far as rates go. */
  const serve = async () => {
    const connection = new RedisConnection(redis.url);
    connections.push(connection);
    const config = loadConfig({ RATE_LIMIT_PER_ADDRESS: '3' });
    const app = express().use(new RateLimit(config, connection).handler);
    app.get('/', (_request, response) => void response.sendStatus(200));
    const refuse: express.ErrorRequestHandler = (error, _request, response, next) =>
      error instanceof ServiceError ? void response.sendStatus(429) : next(error);
    app.use(refuse);
    const server = app.listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ask = async () => (await http(`http://127.0.0.1:${port}`).get('/')).status;
    const connected = async () => {
      if (connection.client.status !== 'ready') await once(connection.client, 'ready');
    };
    return { ask, connected };
  };

  beforeEach(async () => {
    redis = await RedisServer.start();
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    for (const connection of connections.splice(0)) await connection.close();
    for (const server of servers.splice(0)) server.close();
    await redis.stop();
  });
  const outages = () =>
    (warn.mock.calls as [unknown][]).filter(([sentence]) => /not limited/.test(String(sentence))).length;

  it('should share its counts between processes', async () => {
    const [one, other] = [await serve(), await serve()];
    await Promise.all([one.connected(), other.connected()]);
    expect([await one.ask(), await other.ask(), await one.ask()]).toEqual([200, 200, 200]);
    expect([await one.ask(), await other.ask()]).toEqual([429, 429]);
    expect(outages()).toBe(0);
  });

  it('should let requests pass while Redis is away, say so once, and limit again when it is back', async () => {
    const { ask, connected } = await serve();
    await connected();
    expect(await ask()).toBe(200);
    await redis.kill();
    for (let i = 0; i < 6; i++) expect(await ask()).toBe(200);
    expect(outages()).toBe(1);
    await redis.restart(); // empty: its scripts are gone too
    await connected();
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 429]);
  });

  it('should start while Redis is away, and limit once it is there', async () => {
    await redis.kill();
    const { ask, connected } = await serve();
    for (let i = 0; i < 5; i++) expect(await ask()).toBe(200);
    await redis.restart();
    await connected();
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 429]);
    expect(outages()).toBe(1);
  });
});
