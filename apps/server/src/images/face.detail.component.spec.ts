import { isInstalled } from '@app/faces';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import type { PictureReply } from '../jobs/picture.dto';

describe('face_detail', () => {
  let api: Api;
  const draw = (face_detail: unknown) =>
    http(api.url)
      .post('/v1/images/generations')
      .send({ prompt: 'a fox', size: '64x64', seed: 7, num_inference_steps: 20, face_detail });
  afterEach(() => api.close());

  (isInstalled() ? it : it.skip)(
    'should be what was asked for, and change nothing without a face',
    async () => {
      api = await startApi({ FACE_DETECTION: 'true', EMBED_PARAMETERS: 'true' });
      const replies: PictureReply[] = [];
      for (const asked of [null, false, true, {}, { strength: 0.25, steps: 8 }]) {
        replies.push((await draw(asked).expect(200)).body as PictureReply);
      }
      const usual = { steps: 20, strength: 0.4 };
      expect(replies.map(({ generation }) => generation!.face_detail)).toEqual([
        ...[null, null, usual, usual],
        { steps: 8, strength: 0.25 },
      ]);
      expect(replies.map(({ warnings }) => warnings.slice(1))).toEqual([
        ...[[], []],
        ...Array.from({ length: 3 }, () => [
          'No face was found in the picture to paint again (face_detail).',
        ]),
      ]);
      expect(api.pipeline.requests).toHaveLength(5);
    },
    90_000,
  );

  it('should be refused where nobody looks for faces', async () => {
    api = await startApi();
    const { body } = await draw({ strength: 0.5 }).expect(422);
    expect(body).toMatchObject({ error: { code: 'faces_disabled', param: 'face_detail' } });
    await draw(false).expect(200);
  });

  it.each([
    ['yes', 'face_detail'],
    [1, 'face_detail'],
    [[], 'face_detail'],
    [{ strength: 0 }, 'face_detail.strength'],
    [{ steps: 151 }, 'face_detail.steps'],
    [{ padding: 3 }, 'face_detail.padding'],
  ])('should refuse %j', async (asked, param) => {
    api = await startApi();
    const { body } = await draw(asked).expect(400);
    expect(body).toMatchObject({ error: { code: 'invalid_request', param } });
  });
});
