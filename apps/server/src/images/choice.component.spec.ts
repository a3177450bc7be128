import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { ASTRONAUT, strangers } from '../../../../test/support/face.pictures';
import { http } from '../../../../test/support/http';

interface Reply {
  readonly data: readonly { readonly seed: number; readonly likeness: number | null; readonly url: string }[];
  readonly tries: number;
  readonly warnings: readonly string[];
  readonly generation: { readonly seed: number };
  readonly timings: { readonly faces_ms: number };
}

describe('candidates, min_likeness and require_face', () => {
  let api: Api;
  const start = async (variables: Record<string, string> = {}) => {
    api = await startApi({ FACE_DETECTION: 'true', ...variables });
    const put = http(api.url).put('/v1/users/ann/photo').set('content-type', 'image/png');
    await put.send(ASTRONAUT).expect(200);
  };
  const subject = (body: object) =>
    http(api.url)
      .post('/v1/images/subject')
      .send({ user_id: 'ann', size: '512x512', seed: 7, ...body });
  const error = async (body: object) => {
    const { status, body: reply } = await subject(body);
    return { status, ...(reply as { error: Record<string, string> }).error };
  };
  afterEach(() => api.close());

  it('should answer with the most like of those that were drawn, as faces are found and compared', async () => {
    await start();
    const mirrored = sharp(ASTRONAUT).removeAlpha().flop();
    const [her, ...others] = await Promise.all(
      [mirrored, ...(await strangers()).map((png) => sharp(png).removeAlpha())].map((one) =>
        one.raw().toBuffer(),
      ),
    );
    const bySeed = [others[0], her, others[1]];
    api.pipeline.paint = ({ seed }) => bySeed[seed - 7];
    const { body } = await subject({ candidates: 3 }).expect(200);
    const { data, tries, warnings, generation, timings } = body as Reply;
    expect(data).toMatchObject([{ seed: 8 }]);
    expect(data[0].likeness).toBeGreaterThan(0.85);
    expect([tries, warnings, generation.seed]).toEqual([3, ['a warning'], 8]);
    expect(timings.faces_ms).toBeGreaterThan(0);
    const png = await http(api.url).get(new URL(data[0].url).pathname).expect(200);
    expect(
      await sharp(png.body as Buffer)
        .raw()
        .toBuffer(),
    ).toEqual(her);
    // Nothing of the others.
    const keys: string[] = [];
    for await (const { key } of api.storage.list('')) keys.push(key);
    expect(keys.filter((key) => /^(generated|inputs)\//.test(key))).toHaveLength(1);

    const all = (await subject({ candidates: 3, all_candidates: true }).expect(200)).body as Reply;
    expect(all.data.map(({ seed }) => seed)[0]).toBe(8);
    expect(all.data.map(({ seed }) => seed).sort()).toEqual([7, 8, 9]);
    const likeness = all.data.map((one) => one.likeness!);
    expect(likeness).toEqual([...likeness].sort((a, b) => b - a));
    for (const { url } of all.data) await http(api.url).get(new URL(url).pathname).expect(200);

    const stopped = (await subject({ candidates: 3, min_likeness: 0.8 }).expect(200)).body as Reply;
    expect([stopped.tries, stopped.data[0].seed]).toEqual([2, 8]);
    const stranger = (await subject({ min_likeness: 0.8 }).expect(200)).body as Reply;
    expect(stranger.data[0].likeness).toBeLessThan(0.5);
    expect(stranger.warnings[1]).toMatch(/^The likeness is 0\.\d+, below the min_likeness of 0\.8\.$/);

    api.pipeline.paint = undefined;
    const plain = (await subject({ candidates: 2 }).expect(200)).body as Reply;
    expect([plain.tries, plain.data[0].seed, plain.data[0].likeness]).toEqual([2, 7, null]);
    expect(plain.warnings).toEqual(['a warning', 'No face was found in the picture.']);
    const message = 'No face was found in what was drawn (require_face)';
    expect(await error({ require_face: true })).toMatchObject({ status: 422, code: 'no_face', message });
  }, 120_000);

  it('should refuse what goes not together', async () => {
    api = await startApi({ FACE_DETECTION: 'true' });
    const refusals: [body: object, param: string, message: string][] = [
      [{ candidates: 5 }, 'candidates', 'Expected at most 4 (MAX_IMAGES) for candidates but received 5'],
      [
        { all_candidates: true },
        'candidates',
        'Expected candidates of 2 or more with all_candidates but received 1',
      ],
      [{ candidates: 2, n: 2 }, 'n', 'Expected n of 1 with candidates but received 2'],
      [{ min_likeness: 0.5, n: 2 }, 'n', 'Expected n of 1 with min_likeness but received 2'],
      [
        { candidates: 3, seed: 4_294_967_294 },
        'seed',
        'Expected at most 4294967293 for seed, each picture having one more than that before it, but received 4294967294',
      ],
    ];
    for (const [body, param, message] of refusals)
      expect(await error(body)).toMatchObject({ status: 400, code: 'invalid_request', param, message });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should refuse what nobody can tell, and draw as ever without it', async () => {
    await start({ FACE_DESCRIPTORS: 'false' });
    const compares = 'This service does not compare faces (FACE_DETECTION, FACE_DESCRIPTORS): leave';
    for (const option of [{ candidates: 2 }, { min_likeness: 0 }]) {
      const [param] = Object.keys(option);
      const told = { status: 422, code: 'faces_disabled', param, message: `${compares} ${param} out` };
      expect(await error(option)).toMatchObject(told);
    }
    // Seen, and not described.
    const { body } = await subject({}).expect(200);
    const warnings = ['a warning', 'No face was found in the picture.'];
    expect(body).toMatchObject({ data: [{ likeness: null }], warnings });
    expect(await error({ require_face: true })).toMatchObject({ status: 422, code: 'no_face' });
    await api.close();
    await start({ FACE_DETECTION: 'false' });
    const message = 'This service looks for no faces (FACE_DETECTION): leave require_face out';
    expect(await error({ require_face: true })).toMatchObject({ code: 'faces_disabled', message });
    expect(await error({ candidates: 2 })).toMatchObject({ status: 422, code: 'faces_disabled' });
    await subject({ candidates: 1, require_face: false }).expect(200);
  }, 120_000);
});
