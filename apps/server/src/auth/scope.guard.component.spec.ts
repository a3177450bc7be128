import { request as send } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants';
import { MetadataScanner, ModulesContainer, Reflector } from '@nestjs/core';
import type { OpenAPIObject } from '@nestjs/swagger';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { RawConnection } from '../../../../test/support/raw.connection';
import { SCOPES, type Scope } from './api.key';
import { REQUIRED_SCOPE } from './scope.decorators';
import { ScopeGuard } from './scope.guard';

const METHODS = ['get', 'put', 'post', 'delete'] as const;

/** A key with all scopes but one. */
const without = Object.fromEntries(
  SCOPES.map((scope) => [
    scope,
    key(
      `not-${scope}`,
      SCOPES.filter((other) => other !== scope),
    ),
  ]),
);
const all = key('all', SCOPES);

const basic = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

interface Operation {
  readonly security?: readonly object[];
  readonly 'x-scope'?: Scope;
}

/** Where the operation does not say otherwise, the document's own rule holds: a key. */
const asksForKey = ({ security }: Operation) => security?.length !== 0;

describe(ScopeGuard.name, () => {
  let api: Api;
  let operations: { method: (typeof METHODS)[number]; path: string; operation: Operation }[];

  beforeAll(async () => {
    const keys = [all, ...Object.values(without)].map(({ entry }) => entry);
    api = await startApi({ API_KEYS: JSON.stringify(keys) });
    const { paths } = (await http(api.url).get('/openapi.json').expect(200)).body as OpenAPIObject;
    operations = Object.entries(paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => ({
        method,
        path: path.replace(/\{\w+\}/g, 'x'),
        operation: item[method] as Operation,
      })),
    );
  });
  afterAll(() => api.close());

  it('should find at every route what it needs', () => {
    const reflector = new Reflector();
    const routes = [...api.app.get(ModulesContainer).values()]
      .flatMap(({ controllers }) => [...controllers.values()])
      .flatMap(({ metatype, instance }) => {
        const prototype = Object.getPrototypeOf(instance) as Record<string, () => unknown>;
        return new MetadataScanner()
          .getAllMethodNames(prototype)
          .map((name) => ({ name, handler: prototype[name], controller: metatype as () => unknown }))
          .filter(({ handler }) => Reflect.hasMetadata(PATH_METADATA, handler))
          .filter(({ handler }) => Reflect.hasMetadata(METHOD_METADATA, handler));
      });
    expect(routes.length).toBeGreaterThanOrEqual(operations.length);
    const silent = routes.filter(
      ({ handler, controller }) => !reflector.getAllAndOverride(REQUIRED_SCOPE, [handler, controller]),
    );
    expect(silent.map(({ controller, name }) => `${controller.name}.${name}`)).toEqual([]);
  });

  it('should be told by the document: who needs which scope, and who none', () => {
    const told = operations.map(
      ({ method, path, operation }) =>
        `${method} ${path} ${operation['x-scope'] ?? (asksForKey(operation) ? 'key' : 'open')}`,
    );
    expect(told.sort()).toEqual(
      [
        'get / open',
        'get /health open',
        'get /health/live open',
        'get /health/ready open',
        'get /images/x key',
        'delete /images/x draw',
        'get /metrics open',
        'get /sdapi/v1/embeddings read',
        'get /sdapi/v1/latent-upscale-modes read',
        'get /sdapi/v1/loras read',
        'get /sdapi/v1/options read',
        'get /sdapi/v1/progress read',
        'get /sdapi/v1/samplers read',
        'get /sdapi/v1/schedulers read',
        'get /sdapi/v1/sd-models read',
        'get /sdapi/v1/sd-vae read',
        'get /sdapi/v1/upscalers read',
        'post / draw',
        'post /sdapi/v1/img2img draw',
        'post /sdapi/v1/interrupt draw',
        'post /sdapi/v1/options draw',
        'post /sdapi/v1/txt2img draw',
        'get /v1/control-nets read',
        'get /v1/embeddings read',
        'get /v1/jobs read',
        'get /v1/jobs/x read',
        'delete /v1/jobs/x draw',
        'get /v1/jobs/x/events read',
        'get /v1/loras read',
        'get /v1/styles read',
        'get /v1/models read',
        'get /v1/models/x read',
        'get /v1/upscalers read',
        'post /v1/images/edits draw',
        'post /v1/images/generations draw',
        'post /v1/images/memory draw',
        'post /v1/images/subject draw',
        'put /v1/users/x/photo/crop users',
        'delete /v1/users/x/photo/crop users',
        'get /v1/users/x/photos read',
        'post /v1/users/x/photos users',
        'get /v1/users/x/photos/x read',
        'delete /v1/users/x/photos/x users',
        'put /v1/users/x/photos/x/crop users',
        'delete /v1/users/x/photos/x/crop users',
        ...['avatar', 'photo'].flatMap((picture) => [
          `get /v1/users/x/${picture} read`,
          `put /v1/users/x/${picture} users`,
          `delete /v1/users/x/${picture} users`,
        ]),
        'delete /v1/users/x users',
      ].sort(),
    );
  });

  it('should let nobody in without a key, but where all may come', async () => {
    for (const { method, path, operation } of operations) {
      const { status, body, headers } = await http(api.url)[method](path);
      const named = `${method} ${path} ${status}`;
      if (!asksForKey(operation)) expect(named).toMatch(/ (200|503)$/);
      else {
        expect(named).toBe(`${method} ${path} 401`);
        expect(body).toMatchObject({ error: { code: 'unauthorized', type: 'authentication_error' } });
        expect(headers['www-authenticate']).toBe('Bearer');
      }
    }
    for (const path of [
      '/docs',
      '/docs/swagger-ui-bundle.js',
      '/openapi.json',
      '/openapi.yaml',
      '/health/',
    ]) {
      expect([path, (await http(api.url).get(path).redirects(1)).status]).not.toEqual([path, 401]);
    }
  });

  it.each([
    '/v1/JOBS',
    '//v1/jobs',
    '/docs/../v1/jobs',
    '/health/..%2fv1/jobs',
    '/images',
    '/metricsx',
    '/openapi.json.x',
    '/nothing',
  ])('should not be passed by %s', async (path) => {
    // Not by fetch or supertest, which tidy paths up.
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(api.url);
      send({ hostname, port, path }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect([401, 404]).toContain(status);
  });

  it.each([
    'Bearer',
    'Bearer ',
    'Bearer wrong',
    `Bearer ${all.entry.sha256}`,
    `Basic ${all.secret}`,
    basic('ann', 'wrong'),
    basic(all.secret, 'x'),
    basic('ann', `${all.secret}:x`),
    all.secret,
    `Bearer ${all.secret} x`,
    `Bearer ${all.secret},Bearer x`,
  ])('should refuse %p, also for pictures', async (authorization) => {
    for (const path of ['/v1/jobs', '/images/generated/a.png']) {
      const { status, text } = await http(api.url).get(path).set({ authorization });
      expect(status).toBe(401);
      expect(text).not.toContain(all.secret);
    }
  });

  it('should take the scheme in any case, as RFC 9110 has it', async () => {
    await http(api.url)
      .get('/v1/jobs')
      .set({ authorization: `bearer  ${all.secret}` })
      .expect(200);
  });

  it.each([
    basic('', all.secret),
    basic('ann', all.secret),
    basic('ann', all.secret).replace('Basic', 'basic'),
  ])('should take a key that is the password of %s', async (authorization) => {
    await http(api.url).get('/v1/jobs').set({ authorization }).expect(200);
  });

  it('should know a key that is a password by its scopes, and by its user', async () => {
    const { secret } = without.draw;
    const reply = await http(api.url)
      .post('/v1/images/generations')
      .set({ authorization: basic('ann', secret) })
      .send({ prompt: 'x' });
    expect(reply.body).toMatchObject({ error: { code: 'forbidden' } });
  });

  it('should refuse a key without the scope, and name it', async () => {
    for (const { method, path, operation } of operations.filter(({ operation }) => asksForKey(operation))) {
      const scope = operation['x-scope'] ?? 'read';
      const { status, body } = await http(api.url)[method](path).set(without[scope].header);
      expect(`${method} ${path} ${status}`).toBe(`${method} ${path} 403`);
      const message = expect.stringContaining(`the scope ${scope} `) as string;
      expect(body).toMatchObject({ error: { code: 'forbidden', type: 'permission_error', message } });
      expect([401, 403]).not.toContain((await http(api.url)[method](path).set(all.header)).status);
    }
  });

  it('should answer a stranger before the body is there', async () => {
    const ask = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        const length = { 'content-length': String(20 * 1024 * 1024) };
        const request = send(`${api.url}/v1/users/ann/avatar`, {
          method: 'PUT',
          headers: { ...headers, ...length },
        });
        const end = (outcome: unknown) => {
          resolve(outcome);
          request.destroy();
        };
        request.on('response', ({ statusCode }) => end(statusCode));
        request.on('error', reject).flushHeaders();
        setTimeout(() => end('waits for the body'), 1000);
      });
    expect(await ask({})).toBe(401);
    expect(await ask({ authorization: 'Bearer wrong' })).toBe(401);
    expect(await ask(all.header)).toBe('waits for the body');
  });

  it.each([
    ['without a word', ''],
    ['with Expect: 100-continue', 'Expect: 100-continue\r\n'],
  ])('should refuse a key without the scope before the body is there, %s', async (_name, expectation) => {
    for (const [route, type, scope] of [
      ['PUT /v1/users/ann/avatar', 'image/png', 'users'],
      ['PUT /v1/users/ann/photo', 'image/png', 'users'],
      ['POST /v1/images/generations', 'application/json', 'draw'],
    ] as const) {
      const announce = (authorization: string) =>
        RawConnection.open(
          api.url,
          `${route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\nContent-Type: ${type}\r\n` +
            `${expectation}Content-Length: 100000\r\n\r\n`,
        );
      const refused = await announce(without[scope].header.authorization);
      expect({ route, status: (await refused.reply()).status }).toEqual({ route, status: 403 });
      const taken = await announce(all.header.authorization);
      if (expectation) await taken.until(() => taken.received !== '', 'the wish for a body');
      else await sleep(300);
      expect(taken.received).toBe(expectation && 'HTTP/1.1 100 Continue\r\n\r\n');
      for (const { socket } of [refused, taken]) socket.destroy();
    }
  });

  it('should ask nobody for a key, and say so in the document, where there are none', async () => {
    const open = await startApi();
    await http(open.url).get('/v1/jobs').expect(200);
    await http(open.url).get('/v1/jobs').set({ authorization: 'Bearer whatever' }).expect(200);
    const { body } = await http(open.url).get('/openapi.json');
    const { components, paths } = body as OpenAPIObject;
    expect(components!.securitySchemes).toBeUndefined();
    expect(JSON.stringify(paths)).not.toContain('"security"');
    await open.close();
  });
});
