import { stat } from 'node:fs/promises';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { copiesIn } from '../../../../test/support/inputs';
import { fileStamp } from '../../../../libs/models/file.hash';

const picture = async (width: number, height: number, background: string) => {
  const png = await sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
};

describe('A picture that guides another', () => {
  let api: Api;
  let green: string;

  const net = (name: string, path = __filename) => ({ name, path, bytes: 1, stamp: '' });
  const offer = async (...names: string[]) => {
    const stamp = fileStamp(await stat(__filename, { bigint: true }));
    api.pipeline.controlNets = names.map((name) => ({ ...net(name), stamp }));
  };
  const post = (body: object) =>
    http(api.url)
      .post('/v1/images/generations')
      .send({ prompt: 'a fox', ...body });
  const refused = async (body: object) => {
    const { status, body: reply } = await post(body);
    return { status, ...(reply as { error: { code: string; param: string; message: string } }).error };
  };
  const inputs = () => copiesIn(api.storage);

  beforeAll(async () => {
    green = await picture(300, 200, '#00ff00');
  });
  beforeEach(async () => {
    api = await startApi();
    await offer('canny', 'depth');
  });
  afterEach(() => api.close());

  it('should be refused beside a second sampling, where the engine would abort', async () => {
    const control = { image: green, name: 'depth' };
    expect(await refused({ control, hires: { scale: 2 } })).toMatchObject({ status: 400, param: 'hires' });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should be given to the engine in the size of the result, and be named by the reply', async () => {
    const control = { image: green, name: 'depth', strength: 1.5, preprocess: 'canny' };
    const { body } = await post({ control, size: '128x64', n: 2 }).expect(200);
    const [request] = api.pipeline.requests;
    expect(request).toMatchObject({
      ...{ width: 128, height: 64, count: 2 },
      control: { model: __filename, strength: 1.5, canny: true },
    });
    expect(request).not.toHaveProperty('image');
    expect(request.control!.pixels).toHaveLength(128 * 64 * 3);
    expect([...request.control!.pixels.subarray(0, 3)]).toEqual([0, 255, 0]);
    expect(body).toMatchObject({
      generation: { control: { name: 'depth', strength: 1.5, preprocess: 'canny' }, strength: null },
    });
    // The copy was for the job alone.
    expect(await inputs()).toEqual([]);
  });

  it('should decide the proportions where no size and no picture to begin from does', async () => {
    await offer('canny');
    await post({ control: { image: green } }).expect(200);
    expect(api.pipeline.requests[0]).toMatchObject({ width: 128, height: 64, control: { strength: 1 } });
    expect(api.pipeline.requests[0].control).not.toMatchObject({ canny: true });
    const image = await picture(64, 256, 'red');
    await post({ image, mask: await picture(64, 256, 'white'), control: { image: green } }).expect(200);
    const [, both] = api.pipeline.requests;
    expect(both).toMatchObject({ width: 64, height: 256, image: { strength: 1 } });
    expect(both.control!.pixels).toHaveLength(64 * 256 * 3);
    expect((await post({ prompt: 'a fox' })).body).toMatchObject({ generation: { control: null } });
  });

  it('should wait as a copy, and be another request with another picture', async () => {
    const held = api.pipeline.hold();
    const send = (image: string) =>
      post({ seed: 1, control: { image, name: 'canny' } })
        .set('Prefer', 'respond-async')
        .set('Idempotency-Key', 'once');
    const { id } = (await send(green).expect(202)).body as { id: string };
    await held;
    expect(await inputs()).toEqual([`inputs/${id}-control.png`]);
    expect((await send(green).expect(202)).body).toMatchObject({ id });
    const other = await send(await picture(300, 200, 'red'));
    expect(other.body).toMatchObject({ error: { code: 'idempotency_mismatch' } });
    await http(api.url).delete(`/v1/jobs/${id}`).expect(200);
    expect(await inputs()).toEqual([]);
  });

  it('should be refused where the ControlNet that is meant is not there, or not said', async () => {
    const image = green;
    expect(await refused({ control: { image, name: 'pose' } })).toMatchObject({
      ...{ status: 404, code: 'control_net_not_found', param: 'control.name' },
      message: 'There is no ControlNet "pose". There are: canny, depth.',
    });
    expect(await refused({ control: { image } })).toMatchObject({
      ...{ status: 400, code: 'invalid_request', param: 'control.name' },
      message: expect.stringContaining('(canny, depth)') as string,
    });
    await offer();
    expect(await refused({ control: { image } })).toMatchObject({
      ...{ status: 404, code: 'control_net_not_found', param: 'control' },
      message: expect.stringContaining('CONTROL_NET_DIR') as string,
    });
    expect(await inputs()).toEqual([]);
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should fail where its file is another one by then', async () => {
    api.pipeline.controlNets = [net('canny')];
    expect(await refused({ control: { image: green } })).toMatchObject({
      ...{ status: 404, code: 'control_net_not_found' },
      message: expect.stringContaining('changed or went away') as string,
    });
    expect(await inputs()).toEqual([]);
  });

  it.each([
    ['control', 'canny'],
    ['control.image', {}],
    ['control.image', { image: 'data:image/png;base64,AAAA' }],
    ['control.strength', { image: 'data:image/png;base64,AAAA', strength: 2.1 }],
    ['control.preprocess', { image: 'data:image/png;base64,AAAA', preprocess: 'depth' }],
    ['control.name', { image: 'data:image/png;base64,AAAA', name: '../x' }],
  ])('should be refused where %s breaks its rule: %j', async (param, control) => {
    await offer('canny');
    expect(await refused({ control })).toMatchObject({ param });
    expect(await inputs()).toEqual([]);
  });

  it('should come by the names that the service lists', async () => {
    const { body } = await http(api.url).get('/v1/control-nets').expect(200);
    expect(body).toEqual({ object: 'list', data: [{ name: 'canny' }, { name: 'depth' }] });
  });
});
