import { Controller, Get, Logger } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { pinoHttp } from 'pino-http';
import { http } from '../../../../test/support/http';
import { loadConfig } from '@app/config';
import { ERRORS, ServiceError, type ErrorCode, type ErrorRule } from '@app/errors';
import { startApi, type Api } from '../../../../test/support/api';
import { ErrorFilter } from './error.filter';
import { requestLog } from '../logging';
import { listRoutes } from './routes';

describe(ErrorFilter.name, () => {
  let thrown: unknown;

  @Controller()
  class FailingController {
    @Get('fail')
    fail() {
      throw thrown;
    }
  }

  let app: NestExpressApplication;
  let url: string;
  let log: jest.SpyInstance;

  beforeAll(async () => {
    const module = await Test.createTestingModule({
      controllers: [FailingController],
      providers: [{ provide: APP_FILTER, useClass: ErrorFilter }],
    }).compile();
    app = module.createNestApplication<NestExpressApplication>({ logger: false });
    app.use(pinoHttp(requestLog(loadConfig({ LOG_LEVEL: 'silent' }))));
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    log = jest.spyOn(Logger.prototype, 'error').mockImplementation();
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  beforeEach(() => log.mockClear());
  afterAll(() => app.close());

  it.each(Object.keys(ERRORS) as ErrorCode[])('should answer %s by the table', async (code) => {
    thrown = new ServiceError(code, 'a sentence', 'prompt');
    const { status, type, retry, shownAs = code }: ErrorRule = ERRORS[code];
    const reply = await http(url).get('/fail').set('X-Request-Id', 'abc-1');
    expect(reply.status).toBe(status);
    expect(reply.body).toEqual({
      error: { message: 'a sentence', type, param: 'prompt', code: shownAs },
      request_id: 'abc-1',
    });
    expect(reply.headers['x-should-retry']).toBe(retry ? undefined : 'false');
    expect(reply.headers['retry-after']).toBe(retry ? '5' : undefined);
    expect(reply.headers['www-authenticate']).toBe(status === 401 ? 'Bearer' : undefined);
  });

  it('should tell when to come again where the error knows', async () => {
    thrown = new ServiceError('queue_full', 'x', undefined, { retryAfter: 7 });
    const reply = await http(url).get('/fail');
    expect(reply.headers['retry-after']).toBe('7');
    expect(reply.body).toMatchObject({ error: { param: null } });
  });

  it('should ask for a minute at most, above which clients come back at once', async () => {
    thrown = new ServiceError('queue_full', 'x', undefined, { retryAfter: 300 });
    expect((await http(url).get('/fail')).headers['retry-after']).toBe('60');
  });

  it.each([new Error('password=hunter2'), 'a string', undefined])(
    'should log a defect and keep it from the caller (%s)',
    async (defect) => {
      thrown = defect;
      const reply = await http(url).get('/fail');
      expect(reply.status).toBe(500);
      expect(reply.body).toMatchObject({ error: { code: 'internal_error', type: 'server_error' } });
      expect(reply.text).not.toContain('hunter2');
      expect(log).toHaveBeenCalledWith(expect.objectContaining({ err: defect }), expect.any(String));
    },
  );
});

describe('errors of the HTTP layer', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());
  const error = (code: string, message: RegExp) => ({
    error: { code, message: expect.stringMatching(message) as string, type: expect.any(String) as string },
  });

  it('should tell an unknown path', async () => {
    const { status, body } = await http(api.url).get('/v2/images?secret=1');
    expect(status).toBe(404);
    expect(body).toMatchObject(error('not_found', /^There is nothing at \/v2\/images$/));
  });

  it.each([
    ['get', '/v1/images/memory', 'POST'],
    ['delete', '/v1/images/generations', 'POST'],
    ['post', '/v1/users/ann/avatar', 'PUT, GET, DELETE, HEAD'],
    ['post', '/health', 'GET, HEAD'],
    ['put', '/images/generated/a.png', 'GET, DELETE, HEAD'],
    ['post', '/openapi.json', 'GET, HEAD'],
  ] as const)('should answer %s %s with 405 and Allow', async (method, path, allow) => {
    const { status, body, headers } = await http(api.url)[method](path);
    expect(status).toBe(405);
    expect(headers.allow).toBe(allow);
    expect(body).toMatchObject(error('method_not_allowed', /^Expected /));
  });

  it('should answer another method with 405 and Allow on every route there is, and HEAD where GET is', async () => {
    const routes = listRoutes(api.app.get(HttpAdapterHost));
    const addresses = routes.map(({ path, methods }) => ({
      path: path.replace(/[:*]\w+/g, 'x').replace(/^\/images\/x$/, '/images/generated/x/y.png'),
      methods,
    }));
    expect(addresses.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/', '/docs', '/metrics', '/images/generated/x/y.png', '/v1/users/x/photo']),
    );
    for (const { path, methods } of addresses) {
      const { status, body, headers } = await http(api.url).patch(path);
      expect({ path, status }).toEqual({ path, status: 405 });
      expect(headers.allow.split(', ')).toEqual(expect.arrayContaining([...methods]));
      expect(headers.allow.includes('HEAD')).toBe(methods.includes('GET'));
      expect(body).toMatchObject({
        error: { code: 'method_not_allowed' },
        request_id: headers['x-request-id'],
      });
      if (!methods.includes('GET') || path.endsWith('/events')) continue;
      const [get, head] = [await http(api.url).get(path), await http(api.url).head(path)];
      expect({ path, status: head.status }).toEqual({ path, status: get.status });
    }
  });

  const send = (body: string, type = 'application/json') =>
    http(api.url).post('/v1/images/generations').set('Content-Type', type).send(body);

  it('should refuse broken JSON without repeating it', async () => {
    const { status, body, text } = await send('{"prompt": "my secret');
    expect(status).toBe(400);
    expect(body).toMatchObject(error('invalid_request', /not valid JSON/));
    expect(text).not.toContain('secret');
  });

  it('should refuse JSON that is no object', async () => {
    expect((await send('[1]')).body).toMatchObject(error('invalid_request', /received a list of 1$/));
    expect((await send('7')).body).toMatchObject(error('invalid_request', /JSON/));
  });

  it('should refuse another Content-Type and no body', async () => {
    const { status, body } = await send('prompt=x', 'application/x-www-form-urlencoded');
    expect(status).toBe(400);
    expect(body).toMatchObject(error('invalid_request', /Content-Type application\/json/));
    expect((await http(api.url).post('/v1/images/subject')).body).toMatchObject(
      error('invalid_request', /received nothing/),
    );
  });

  it('should refuse a large JSON body', async () => {
    // Of a route that takes no pictures: those may be larger.
    const { status, body } = await http(api.url)
      .post('/sdapi/v1/options')
      .send({ prompt: 'x'.repeat(200_000) });
    expect(status).toBe(413);
    expect(body).toMatchObject(error('payload_too_large', /at most 102400 bytes but received 200013/));
  });

  it('should refuse a broken percent code and an unknown character set', async () => {
    expect((await http(api.url).get('/v1/users/%zz/avatar')).body).toMatchObject(
      error('invalid_request', /percent encoding/),
    );
    expect((await send('{}', 'application/json; charset=klingon')).body).toMatchObject(
      error('invalid_request', /UTF-8/),
    );
  });

  it('should name each request', async () => {
    const named = await http(api.url).get('/').set('X-Request-Id', 'abc-1');
    expect(named.headers['x-request-id']).toBe('abc-1');
    const refused = await send('{').set('X-Request-Id', 'abc-2');
    expect(refused.headers['x-request-id']).toBe('abc-2');
    expect(refused.body).toMatchObject({ request_id: 'abc-2' });
    const forged = await http(api.url).get('/').set('X-Request-Id', 'a b');
    expect(forged.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});
