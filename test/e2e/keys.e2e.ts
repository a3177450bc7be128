import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { readEvents } from '../support/event.source';
import { key } from '../support/keys';
import { NO_REFERENCES, Service } from '../support/service';

const ROUTE = '/v1/images/generations';
/** The cheapest picture: prompts cost most of its time, and without guidance only one is encoded. */
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
/** Longer than any of these tests waits. */
const LONG = { prompt: 'a fox', size: '192x192', num_inference_steps: 150, guidance_scale: 1 };
const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const MAIN = join(__dirname, '../../dist/apps/server/src/main.js');

const SCOPES = ['draw', 'read', 'users'];
const ann = key('ann', SCOPES, 'ann');
const bob = key('bob', SCOPES, 'bob');
const chat = key('chat', SCOPES);

interface Picture {
  id: string;
  data: [{ s3_uri: string; url: string }];
}

describe('Keys', () => {
  const DATA_DIR = temporaryFolder();
  const OPEN_DATA_DIR = temporaryFolder();
  const API_KEYS_FILE = join(DATA_DIR, 'keys.json');
  const list = (...keys: (typeof ann)[]) =>
    writeFileSync(API_KEYS_FILE, JSON.stringify(keys.map(({ entry }) => entry)));
  let service: Service;

  beforeAll(async () => {
    list(ann, bob, chat);
    service = await Service.startReady({ DATA_DIR, API_KEYS_FILE, ...NO_REFERENCES });
  });
  afterAll(() => service?.stop('SIGKILL'));

  const ask = (method: string, path: string, { header }: typeof ann, body?: unknown, more: object = {}) =>
    fetch(service.url + path, {
      method,
      headers: { ...header, ...(body !== undefined && { 'content-type': 'application/json' }), ...more },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  const draw = async (by: typeof ann, more: object = {}): Promise<Picture> => {
    const response = await ask('POST', ROUTE, by, SMALL, more);
    expect(response.status).toBe(200);
    return (await response.json()) as Picture;
  };
  const statusOf = async (...of: Parameters<typeof ask>) => (await ask(...of)).status;

  it('should hide from a key of one user everything of another, and leave it in place', async () => {
    const once = { 'idempotency-key': 'once' };
    const theirs = await draw(bob, once);
    const avatar = '/v1/users/bob/avatar';
    const put = await fetch(service.url + avatar, {
      method: 'PUT',
      headers: { ...bob.header, 'content-type': 'image/png' },
      body: readFileSync(PANDA),
    });
    expect(put.status).toBe(200);
    const picture = new URL(theirs.data[0].url).pathname;
    expect(picture).toBe(`/images/generated/bob/generations_${theirs.id}.png`);
    const job = `/v1/jobs/${theirs.id}`;

    const battery: [string, string, object?, object?][] = [
      ['GET', job],
      ['DELETE', job],
      ['GET', `${job}/events`],
      ['GET', '/v1/jobs?user_id=bob'],
      ['GET', picture],
      ['DELETE', picture],
      ['GET', avatar],
      ['PUT', avatar],
      ['DELETE', avatar],
      ['DELETE', '/v1/users/bob'],
      ['POST', '/v1/images/memory', { ...SMALL, user_id: 'bob' }],
      ['POST', ROUTE, { ...SMALL, user: 'bob' }, once],
    ];
    for (const [method, path, body, more] of battery) {
      expect(`${method} ${path} ${await statusOf(method, path, ann, body, more)}`).toBe(
        `${method} ${path} 404`,
      );
      if (body === undefined && method === 'GET') {
        expect(`${method} ${path} ${await statusOf(method, path, bob)}`).toBe(`${method} ${path} 200`);
      }
    }
    // The same idempotency key is another's.
    const mine = await draw(ann, once);
    expect(mine.id).not.toBe(theirs.id);
    expect((await draw(bob, once)).id).toBe(theirs.id);
    const { data } = (await (await ask('GET', '/v1/jobs', ann)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual([mine.id]);
    expect(await statusOf('GET', job, chat)).toBe(200);
  });

  it('should refuse a stranger before the body comes', async () => {
    const begin = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        const length = { 'content-length': String(20 * 1024 * 1024) };
        const put = request(`${service.url}/v1/users/ann/avatar`, {
          method: 'PUT',
          headers: { ...headers, ...length },
        });
        put.on('response', ({ statusCode }) => {
          resolve(statusCode);
          put.destroy();
        });
        put.on('error', reject).flushHeaders();
      });
    expect(await begin({})).toBe(401);
    expect(await begin({ authorization: 'Bearer wrong' })).toBe(401);
    expect((await fetch(`${service.url}/v1/jobs`)).headers.get('www-authenticate')).toBe('Bearer');
  });

  it('should take new keys and end old ones without a restart, with the streams that they had open', async () => {
    const reader = key('reader', ['read']);
    list(ann, chat, reader);
    await service.until(async () => (await statusOf('GET', '/v1/jobs', reader)) === 200, 'knows the new key');
    expect(await statusOf('GET', '/v1/jobs', bob)).toBe(401);
    expect(await statusOf('POST', ROUTE, reader, SMALL)).toBe(403);

    const response = await ask('POST', ROUTE, chat, LONG, { prefer: 'respond-async' });
    const { id } = (await response.json()) as { id: string };
    const last = (async () => {
      let event = '';
      for await (const sent of readEvents(`${service.url}/v1/jobs/${id}/events`, reader.header)) {
        if (event === '') list(ann, chat); // it is open
        event = sent.event;
      }
      return event;
    })();
    expect(await last).toBe('closing');
    expect(await statusOf('GET', `/v1/jobs/${id}/events`, reader)).toBe(401);

    writeFileSync(API_KEYS_FILE, '[{"name": "hunter2"');
    await service.until(() => service.lines.some((line) => line.includes('stay as they were')), 'warns');
    expect(await statusOf('DELETE', `/v1/jobs/${id}`, chat)).toBe(200);
    expect(service.lines.join()).not.toContain('hunter2');
    for (const { secret } of [ann, bob, chat, reader]) expect(service.lines.join()).not.toContain(secret);
  });

  it('should not start open to others by mistake, nor with a broken list', () => {
    const start = (variables: Record<string, string>) => {
      const env = { PATH: process.env.PATH, MODEL_PATH: 'demo', DATA_DIR, LOG_LEVEL: 'silent', ...variables };
      const { status, stderr } = spawnSync(process.execPath, [MAIN], {
        env,
        cwd: DATA_DIR,
        encoding: 'utf8',
      });
      return { status, stderr };
    };
    const open = start({ HOST: '0.0.0.0' });
    expect(open.status).toBe(1);
    expect(open.stderr).toMatch(/^HOST must .*ALLOW_ANONYMOUS=true.*\n$/);
    expect(start({ API_KEYS: '[{"name": "hunter2"}]' })).toEqual({
      status: 1,
      stderr:
        'API_KEYS must be a JSON list of keys: sha256 of entry 1 must be the SHA-256 of the key in 64 hexadecimal digits\n',
    });
    expect(start({ API_KEYS_FILE: join(DATA_DIR, 'missing.json') })).toEqual({
      status: 1,
      stderr: 'API_KEYS_FILE must be a file that this user can read (ENOENT)\n',
    });
  });

  it('should warn when everybody may call', async () => {
    const open = await Service.start({ DATA_DIR: OPEN_DATA_DIR, HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' });
    await open.stop('SIGKILL');
    expect(open.lines.filter((line) => line.includes('There are no keys'))).toHaveLength(1);
  });
});
