import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';

describe('identity', () => {
  let api: Api;
  const start = async (variables: Record<string, string> = {}) => {
    api = await startApi(variables);
    const photo = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c83214' } })
      .png()
      .toBuffer();
    for (const picture of ['photo', 'avatar'])
      await http(api.url).put(`/v1/users/ann/${picture}`).set('content-type', 'image/png').send(photo);
  };
  const subject = (body: object = {}) =>
    http(api.url)
      .post('/v1/images/subject')
      .send({ user_id: 'ann', ...body });
  afterEach(() => api.close());

  it('should give the photo to PhotoMaker where that is asked for, and else to the IP-Adapter', async () => {
    await start();
    api.pipeline.hasPhotoMaker = true;
    const { body } = await subject({ identity: 'photomaker', identity_strength: 0.5 }).expect(200);
    expect((body as { generation: object }).generation).toMatchObject({
      ...{ identity_strength: 0.5, ip_adapter_scale: null },
    });
    await subject({ identity: 'auto' }).expect(200);
    await subject({ style: 'comic', identity: 'photomaker' }).expect(200);
    await subject().expect(200);
    const memory = { user_id: 'ann', prompt: 'a fox', identity: 'auto' };
    await http(api.url).post('/v1/images/memory').send(memory).expect(200);
    const [half, usual, styled, adapter, avatar] = api.pipeline.requests;
    expect([...half.identity!.pictures[0].subarray(0, 3)]).toEqual([200, 50, 20]);
    expect(half.identity!.pictures[0]).toHaveLength(224 * 224 * 3);
    expect([half, usual, styled].map(({ identity }) => identity?.strength)).toEqual([0.5, 0.8, 0.8]);
    for (const { reference } of [half, usual, styled]) expect(reference).toBeUndefined();
    for (const { reference, identity } of [adapter, avatar])
      expect([reference?.strength, identity]).toEqual([0.6, undefined]);
  });

  it('should draw by PhotoMaker where there is no IP-Adapter', async () => {
    await start();
    Object.assign(api.pipeline, { hasIpAdapter: false, hasPhotoMaker: true });
    await subject({ identity: 'photomaker' }).expect(200);
    await subject({ identity: 'auto' }).expect(200);
    const { status, body } = await subject();
    expect([status, body]).toMatchObject([422, { error: { code: 'ip_adapter_disabled' } }]);
    expect(api.pipeline.requests).toHaveLength(2);
  });

  it.each([
    [{ identity: 'photomaker' }, 422, 'photo_maker_disabled', 'identity'],
    [{ identity_strength: 0.5 }, 400, 'invalid_request', 'identity'],
    [{ identity: 'faceid' }, 400, 'invalid_request', 'identity'],
    [{ identity: 'auto', identity_strength: 1.5 }, 400, 'invalid_request', 'identity_strength'],
  ])('should refuse %j', async (options, status, code, param) => {
    await start();
    const reply = await subject(options);
    expect([reply.status, reply.body]).toMatchObject([status, { error: { code, param } }]);
    expect(api.pipeline.requests).toEqual([]);
  });
});
