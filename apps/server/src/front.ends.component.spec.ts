import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { startApi, type Api } from '../../../test/support/api';
import { describedFetch } from '../../../test/support/described.fetch';
import { frontEnds, type FrontEnd, type FrontEndRequest } from '../../../test/support/front.ends';
import { key } from '../../../test/support/keys';

const PANDA = join(__dirname, '../../../test/fixtures/panda-on-purple.png');

describe('What front ends send', () => {
  const ann = key('ann', ['draw', 'read']);
  const basic = { authorization: `Basic ${Buffer.from(`ann:${ann.secret}`).toString('base64')}` };
  let api: Api;

  beforeAll(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([ann.entry]) });
  });
  afterAll(() => api.close());

  const send = async ({ basic: asPassword }: FrontEnd, { method, path, body }: FrontEndRequest) => {
    const response = await describedFetch(fetch)(api.url + path, {
      method,
      headers: { ...(asPassword ? basic : ann.header), ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { ok: response.ok, text, reply: text === '' ? {} : withInfo(JSON.parse(text) as Reply) };
  };

  it.each(frontEnds(readFileSync(PANDA, 'base64')))(
    'should be answered as $program reads it ($from)',
    async (frontEnd) => {
      for (const request of frontEnd.requests) {
        const { ok, text, reply } = await send(frontEnd, request);
        expect({ ok, text }).toEqual({ ok: true, text });
        for (const path of request.reads) expect(reply).toHaveProperty(path, expect.anything());
        const {
          at,
          size: [width, height],
        } = request.pictures ?? NONE;
        for (const path of at) {
          const picture = await bytesOf(valueAt(reply, path) as string);
          expect(await sharp(picture).metadata()).toMatchObject({ width, height });
        }
      }
    },
    30_000,
  );
});

const NONE = { at: [], size: [0, 0] } as const;

interface Reply {
  readonly info?: unknown;
}

/** AUTOMATIC1111's `info` is JSON in a text. */
const withInfo = (reply: Reply): Reply =>
  typeof reply.info === 'string' ? { ...reply, info: JSON.parse(reply.info) as unknown } : reply;

const valueAt = (reply: unknown, path: string): unknown =>
  path.split('.').reduce((value, step) => (value as Record<string, unknown>)[step], reply);

/** Links are followed without a key, as programs do. */
async function bytesOf(picture: string): Promise<Buffer> {
  if (!picture.startsWith('http')) return Buffer.from(picture, 'base64');
  return Buffer.from(await (await fetch(picture)).arrayBuffer());
}
