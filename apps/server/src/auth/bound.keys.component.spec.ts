import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { SCOPES } from './api.key';

const ann = key('ann-phone', SCOPES, 'ann');
const bob = key('bob-phone', SCOPES, 'bob');
const chat = key('chat', SCOPES);
const shop = key('shop', SCOPES);

type Header = typeof ann.header;
interface Picture {
  id: string;
  data: [{ url: string; s3_uri: string }];
}

describe('A key that is bound to a user', () => {
  let api: Api;
  const url = '/v1/images/generations';

  beforeAll(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([ann, bob, chat, shop].map(({ entry }) => entry)) });
  });
  afterAll(() => api.close());

  const draw = async (
    header: Header,
    body: object = {},
    more: Record<string, string> = {},
  ): Promise<Picture> => {
    const request = http(api.url).post(url).set(header).set(more);
    return (await request.send({ prompt: 'a fox', ...body }).expect(200)).body as Picture;
  };
  const pathOf = ({ data: [picture] }: Picture) => new URL(picture.url).pathname;
  const list = async (header: Header, query = '') => {
    const { body } = await http(api.url).get(`/v1/jobs${query}`).set(header).expect(200);
    return (body as { data: { id: string; user_id: string | null }[] }).data;
  };

  it('should draw for its user: the picture lies with theirs, its job in their list, and both go with them', async () => {
    const picture = await draw(ann.header);
    expect(picture.data[0].s3_uri).toBe(`s3://local/generated/ann/generations_${picture.id}.png`);
    await http(api.url).get(pathOf(picture)).set(ann.header).expect(200);
    expect(await list(ann.header)).toEqual([expect.objectContaining({ id: picture.id, user_id: 'ann' })]);
    await draw(ann.header, { user: 'ann' });

    await http(api.url).delete('/v1/users/ann').set(ann.header).expect(204);
    await http(api.url).get(pathOf(picture)).set(ann.header).expect(404);
    expect(await list(ann.header)).toEqual([]);
  });

  it('should find nothing of others, as if it were not there', async () => {
    const theirs = await draw(bob.header);
    const nobodys = await draw(chat.header);
    await api.storage.put('avatars/bob.png', Buffer.from('x'), 'image/png');
    await api.storage.put('subjects/bob.png', Buffer.from('x'), 'image/png');

    const ask = async (method: 'get' | 'put' | 'post' | 'delete', path: string, body?: object) => {
      // The same id for all, since every answer tells it.
      const headers = { ...ann.header, 'x-request-id': 'spec' };
      const { status, body: reply } = await http(api.url)[method](path).set(headers).send(body);
      return { status, reply: reply as object };
    };
    /** What is asked of something that exists, and the same of something that never did. */
    const pairs: [string, Parameters<typeof ask>, Parameters<typeof ask>][] = [];
    const missing = 'f'.repeat(24);
    for (const { id } of [theirs, nobodys]) {
      pairs.push([id, ['get', `/v1/jobs/${id}`], ['get', `/v1/jobs/${missing}`]]);
      pairs.push([id, ['delete', `/v1/jobs/${id}`], ['delete', `/v1/jobs/${missing}`]]);
      pairs.push([id, ['get', `/v1/jobs/${id}/events`], ['get', `/v1/jobs/${missing}/events`]]);
    }
    pairs.push([theirs.id, ['get', pathOf(theirs)], ['get', pathOf(theirs).replace(theirs.id, missing)]]);
    pairs.push([nobodys.id, ['get', pathOf(nobodys)], ['get', `/images/generated/${missing}.png`]]);
    for (const picture of ['avatar', 'photo']) {
      for (const method of ['get', 'put', 'delete'] as const) {
        const path = (user: string) => `/v1/users/${user}/${picture}`;
        pairs.push(['bob', [method, path('bob')], [method, path('nix')]]);
      }
    }
    pairs.push(['bob', ['delete', '/v1/users/bob'], ['delete', '/v1/users/nix']]);
    pairs.push(['bob', ['get', '/v1/jobs?user_id=bob'], ['get', '/v1/jobs?user_id=nix']]);
    const prompt = 'a fox';
    for (const [route, field] of [
      ['memory', 'user_id'],
      ['generations', 'user'],
    ] as const) {
      const path = `/v1/images/${route}`;
      pairs.push([
        'bob',
        ['post', path, { prompt, [field]: 'bob' }],
        ['post', path, { prompt, [field]: 'nix' }],
      ]);
    }
    const subject = '/v1/images/subject';
    pairs.push(['bob', ['post', subject, { user_id: 'bob' }], ['post', subject, { user_id: 'nix' }]]);

    for (const [name, there, gone] of pairs) {
      const found = await ask(...there);
      const [label] = [`${there[0]} ${there[1]}`];
      expect(`${label} ${found.status}`).toBe(`${label} 404`);
      const text = JSON.stringify((await ask(...gone)).reply)
        .replace(missing, name)
        .replace('nix', name);
      expect(JSON.stringify(found.reply)).toBe(text);
    }
    const events = await http(api.url).head(`/v1/jobs/${theirs.id}/events`).set(ann.header);
    expect(events.status).toBe(404);
    expect((await list(ann.header)).map(({ user_id }) => user_id)).not.toContain('bob');

    // All of it is still there for bob.
    await http(api.url).get(pathOf(theirs)).set(bob.header).expect(200);
    await http(api.url).get(`/v1/jobs/${theirs.id}`).set(bob.header).expect(200);
    await http(api.url).get(`/v1/jobs/${theirs.id}/events`).set(bob.header).expect(200);
    expect(api.storage.uri('avatars/bob.png')).toBeDefined();
    expect(await api.storage.read('avatars/bob.png', 10)).toEqual(Buffer.from('x'));
  });

  it('should not be joined by another key, whoever it is bound to', async () => {
    const idempotency = { 'Idempotency-Key': 'once' };
    const mine = await draw(ann.header, {}, idempotency);
    expect((await draw(ann.header, {}, idempotency)).id).toBe(mine.id);
    expect((await draw(bob.header, {}, idempotency)).id).not.toBe(mine.id);
    const theirs = await http(api.url)
      .post('/v1/images/memory')
      .set({ ...ann.header, ...idempotency })
      .send({ user_id: 'bob', prompt: 'a fox' });
    expect(theirs.status).toBe(404);

    // Also keys that act for the same caller keep their own.
    for (const user of [undefined, 'team', 'ann']) {
      const ofChat = await draw(chat.header, { user }, idempotency);
      expect((await draw(chat.header, { user }, idempotency)).id).toBe(ofChat.id);
      expect((await draw(shop.header, { user }, idempotency)).id).not.toBe(ofChat.id);
      expect(ofChat.id).not.toBe(mine.id);
    }
  });

  it('should leave keys without a user what everybody has: all users, and pictures of nobody', async () => {
    const picture = await draw(chat.header);
    expect(picture.data[0].s3_uri).toBe(`s3://local/generated/${picture.id}.png`);
    const theirs = await draw(bob.header);
    await http(api.url).get(pathOf(theirs)).set(chat.header).expect(200);
    const users = (await list(chat.header)).map(({ user_id }) => user_id);
    expect(users).toEqual(expect.arrayContaining(['bob', null]));
    expect((await list(chat.header, '?user_id=bob')).every(({ user_id }) => user_id === 'bob')).toBe(true);
  });
});
