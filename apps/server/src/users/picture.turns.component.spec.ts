import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp, { type Sharp } from 'sharp';
import { Turns } from '@app/lifecycle';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { flatPng } from '../../../../test/support/picture.files';
import { SCOPES } from '../auth/api.key';

const busy = key('busy', SCOPES);
const other = key('other', SCOPES);
const API_KEYS = JSON.stringify([busy.entry, other.entry]);
/** Not light: interlaced, and larger than an avatar. */
const heavy = flatPng(800, { interlace: 1 });

describe('Pictures of several callers', () => {
  let api: Api;
  let run: jest.SpyInstance<unknown, [caller: string, ...rest: unknown[]]>;
  beforeEach(() => {
    run = jest.spyOn(Turns.prototype, 'run') as never;
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await api.close();
  });

  const put = (path: string, header = {}) =>
    http(api.url)
      .put(`/v1/users/${path}`)
      .set('Content-Type', 'image/png')
      .set(header)
      .send(heavy)
      .then(({ status }) => status);

  it('should be decoded in turns: one caller waits for one picture of another, however many those are', async () => {
    api = await startApi({ API_KEYS });
    const gates: (() => void)[] = [];
    const prototype = sharp.prototype as {
      toBuffer: (this: Sharp, ...options: unknown[]) => Promise<unknown>;
    };
    const decode = prototype.toBuffer;
    jest.spyOn(prototype, 'toBuffer').mockImplementation(async function (this: Sharp, ...options) {
      await new Promise<void>((resolve) => gates.push(resolve));
      return decode.apply(this, options);
    });

    const many = Array.from({ length: 12 }, (_, i) => put(`user${i}/avatar`, busy.header));
    await until(() => run.mock.calls.length === 12 && gates.length === 1);
    const one = put('ann/avatar', other.header);
    await until(() => run.mock.calls.length === 13);
    gates[0]();
    await until(() => gates.length === 2);
    gates[1]();
    expect(await one).toBe(200);
    for (let next = 2; next < 13; next++) {
      await until(() => gates.length > next);
      gates[next]();
    }
    expect(await Promise.all(many)).toEqual(Array(12).fill(200));
  });

  it('should count for the key that asks, on every route that reads a picture', async () => {
    const outside = createServer((_request, response) => response.end(heavy)).listen(0, '127.0.0.1');
    await once(outside, 'listening');
    api = await startApi({ API_KEYS, REFERENCE_URL_ALLOW: '127.0.0.1' });
    const of = (user: string) =>
      Promise.all(
        ['avatars', 'subjects'].map((folder) =>
          api.storage.put(`${folder}/${user}.jpg`, heavy, 'image/jpeg'),
        ),
      );
    await of('ann');
    const get = (path: string) =>
      http(api.url)
        .get(path)
        .set(other.header)
        .then(({ status }) => status);
    const draw = (route: string, body: object) =>
      http(api.url)
        .post(`/v1/images/${route}`)
        .set({ ...other.header, prefer: 'respond-async' })
        .send(body)
        .then(({ status }) => status);
    const url = `http://127.0.0.1:${(outside.address() as AddressInfo).port}/`;
    const routes: [() => Promise<number>, number][] = [
      [() => put('bob/avatar', other.header), 200],
      [() => put('bob/photo', other.header), 200],
      [() => get('/v1/users/ann/avatar'), 200],
      [() => get('/v1/users/ann/photo'), 200],
      [() => draw('memory', { prompt: 'a fox', user_id: 'ann' }), 202],
      [() => draw('subject', { user_id: 'ann' }), 202],
      [() => draw('generations', { prompt: 'a fox', reference_image_url: url }), 202],
    ];
    for (const [ask, status] of routes) {
      run.mockClear();
      expect(await ask()).toBe(status);
      expect(new Set(run.mock.calls.map(([caller]) => caller))).toEqual(new Set(['key:other']));
    }
    outside.closeAllConnections();
    outside.close();
  });

  it('should count for the address where there are no keys', async () => {
    api = await startApi();
    expect(await put('ann/avatar')).toBe(200);
    expect(run.mock.calls.map(([caller]) => caller)).toEqual(['address:127.0.0.1']);
  });
});
