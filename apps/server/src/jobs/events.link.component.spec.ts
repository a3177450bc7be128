import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';

const APP = 'https://app.example.com';
const DRAWER = key('drawer', ['draw']);
const READER = key('reader', ['read']);
const BOB = key('bob-phone', ['read'], 'bob');

interface Job {
  readonly id: string;
  readonly state: string;
  readonly events_url: string | null;
  readonly result: { readonly data: { readonly url: string }[] } | null;
}

describe('The events_url of a job', () => {
  let api: Api;
  beforeAll(async () => {
    const keys = [DRAWER, READER, BOB].map(({ entry }) => entry);
    api = await startApi({ API_KEYS: JSON.stringify(keys), CORS_ORIGINS: APP, URL_EXPIRY: '600' });
  });
  afterAll(() => api.close());

  const submit = async (): Promise<Job> => {
    const request = http(api.url)
      .post('/v1/images/generations')
      .set(DRAWER.header)
      .set('Prefer', 'respond-async');
    return (await request.send({ prompt: 'a fox', user: 'ann' }).expect(202)).body as Job;
  };
  const pathOf = (url: string) => {
    const { pathname, search } = new URL(url);
    return pathname + search;
  };
  const get = (path: string) => http(api.url).get(path);

  it('should let a page follow the job, which sends no key with its EventSource', async () => {
    const { events_url } = await submit();
    const path = pathOf(events_url!);
    const { text, headers } = await get(path).set({ Origin: APP, Accept: 'text/event-stream' }).expect(200);
    expect(headers).toMatchObject({
      'content-type': expect.stringContaining('text/event-stream'),
      'access-control-allow-origin': APP,
    });
    expect(text).toMatch(/event: result\ndata: {.*"url":"/);
    await get(`${path}&previews=true`).expect(200);
    await http(api.url).head(path).expect(200);
  });

  it.each([
    ['the credentials of an ingress', 'Basic YWRhOnNlY3JldA=='],
    ['a key without the scope', DRAWER.header.authorization],
    ["another user's key", BOB.header.authorization],
  ])('should be judged before what comes beside it: %s', async (_what, authorization) => {
    const { id, events_url } = await submit();
    const { text } = await get(pathOf(events_url!)).set('Authorization', authorization).expect(200);
    expect(text).toContain('event: result');
    const without = await get(`/v1/jobs/${id}/events`).set('Authorization', authorization);
    expect([401, 403, 404]).toContain(without.status);
  });

  it('should open the events of this job, and nothing else', async () => {
    const one = new URL((await submit()).events_url!);
    const other = await submit();
    const signature = one.searchParams.get('signature')!;
    const refused = [
      `/v1/jobs/${other.id}/events${one.search}`,
      `${one.pathname.replace('/events', '')}${one.search}`,
      `/v1/jobs${one.search}`,
      one.pathname,
      `${one.pathname}?expires=9999999999&signature=${signature}`,
      `${one.pathname}${one.search}x`,
      `${one.pathname}${one.search}&signature=${signature}`,
      `${one.pathname}?signature=`,
    ];
    for (const path of refused) {
      const { status, body } = await get(path);
      expect([path, status]).toEqual([path, 401]);
      expect(body).toMatchObject({ error: { code: 'unauthorized' } });
    }
    await http(api.url)
      .delete(`${one.pathname.replace('/events', '')}${one.search}`)
      .expect(401);
  });

  it('should end with the time of links to pictures, and be fresh in each reply', async () => {
    const { id, events_url } = await submit();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 600_000);
    try {
      await get(pathOf(events_url!)).expect(401);
      const { body } = await get(`/v1/jobs/${id}`).set(READER.header).expect(200);
      await get(pathOf((body as Job).events_url!)).expect(200);
    } finally {
      clock.mockRestore();
    }
  });

  it('should not be opened by the signature of its picture, nor open that', async () => {
    const { id, events_url } = await submit();
    await get(pathOf(events_url!)).expect(200); // it is done
    const { result } = (await get(`/v1/jobs/${id}`).set(READER.header)).body as Job;
    const picture = new URL(result!.data[0].url);
    const events = new URL(events_url!);
    await get(picture.pathname + picture.search).expect(200);
    await get(events.pathname + picture.search).expect(401);
    await get(picture.pathname + events.search).expect(401);
  });

  it('should be plain where nobody needs a key', async () => {
    const open = await startApi({ SERVICE_URL: 'https://pictures.example/api/' });
    try {
      const request = http(open.url).post('/v1/images/generations').set('Prefer', 'respond-async');
      const { id, events_url } = (await request.send({ prompt: 'x' })).body as Job;
      expect(events_url).toBe(`https://pictures.example/api/v1/jobs/${id}/events`);
    } finally {
      await open.close();
    }
  });
});
