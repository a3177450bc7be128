import { CreateBucketCommand } from '@aws-sdk/client-s3';
import sharp from 'sharp';
import { loadConfig } from '@app/config';
import { s3Client } from '../../../../libs/storage/s3.client';
import { startApi, type Api } from '../../../../test/support/api';
import { ASTRONAUT } from '../../../../test/support/face.pictures';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { copiesIn } from '../../../../test/support/inputs';
import { describeWith } from '../../../../test/support/requires';
import { S3_GATEWAY, startS3Gateway, type S3Gateway } from '../../../../test/support/s3.gateway';
import type { JobReply } from '../jobs/jobs.dto';
import { PhotosController } from './photos.controller';
import type { UserPhotosReply, UserPictureReply } from './users.dto';

let api: Api;

const coloured = (red: number) =>
  sharp({ create: { width: 64, height: 64, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();
const add = (photo: Buffer, user = 'ann') =>
  http(api.url).post(`/v1/users/${user}/photos`).set('Content-Type', 'image/png').send(photo);
const added = async (photo: Buffer) => (await add(photo).expect(200)).body as UserPictureReply;
const list = async () =>
  (await http(api.url).get('/v1/users/ann/photos').expect(200)).body as UserPhotosReply;
const numbers = async () => (await list()).data.map(({ photo }) => photo);
const remove = (path: string) => http(api.url).delete(`/v1/users/ann/${path}`).expect(204);
const redOf = async (path: string) => {
  const { body } = await http(api.url).get(`/v1/users/ann/${path}`).expect(200);
  return (
    await sharp(body as Buffer)
      .raw()
      .toBuffer()
  )[0];
};
const keys = async (prefix = '') => {
  const found: string[] = [];
  for await (const { key } of api.storage.list(prefix)) if (!key.startsWith('jobs.db')) found.push(key);
  return found.sort();
};
const UNREADABLE = expect.stringMatching(/^Photo 1 cannot be read and is left out: Expected/) as string;
const ANNAS = ['subjects/anna.png', 'subjects/anna~/2.png'];

/** The same wherever they are stored. */
function severalPhotos(): void {
  beforeEach(async () => {
    for (const red of [1, 2]) await add(await coloured(red), 'anna').expect(200);
  });
  afterEach(async () => {
    await http(api.url).delete('/v1/users/ann').expect(204);
    expect(await keys()).toEqual(ANNAS);
    await http(api.url).delete('/v1/users/anna').expect(204);
  });

  it('should have numbers, the first of which is the photo', async () => {
    expect(await list()).toEqual({ object: 'list', data: [], best: null, warnings: [] });
    await api.storage.put('subjects/ann.jpg', await coloured(10), 'image/jpeg'); // by another program
    const second = await added(await coloured(20));
    expect(second).toMatchObject({
      photo: 2,
      s3_uri: expect.stringMatching(/subjects\/ann~\/2\.png$/) as string,
    });
    expect(await added(await coloured(30))).toMatchObject({ photo: 3 });
    expect([await redOf('photo'), await redOf('photos/1'), await redOf('photos/2')]).toEqual([10, 10, 20]);

    await remove('photos/2');
    expect(await numbers()).toEqual([1, 3]);
    expect(await added(await coloured(40))).toMatchObject({ photo: 2 });
    await remove('photo');
    expect(await numbers()).toEqual([2, 3]);
    const missing = await http(api.url).get('/v1/users/ann/photos/1').expect(404);
    expect(missing.body).toMatchObject({ error: { code: 'photo_not_found' } });
    await http(api.url)
      .put('/v1/users/ann/photo')
      .set('Content-Type', 'image/png')
      .send(await coloured(50));
    expect([await redOf('photos/1'), await redOf('photos/2')]).toEqual([50, 40]);
    expect(await list()).toMatchObject({
      best: 1,
      data: [{ photo: 1, width: 64 }, { photo: 2 }, { photo: 3 }],
    });
  });

  it('should be 8 at most, each with a place of its own, however many come at once', async () => {
    const pictures = await Promise.all(Array.from({ length: 12 }, (_, i) => coloured(i * 20)));
    const replies = await Promise.all(pictures.map((picture) => add(picture)));
    const stored = replies.filter(({ status }) => status === 200).map(({ body }) => body as UserPictureReply);
    expect(stored.map(({ photo }) => photo).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await keys('subjects/ann.')).toHaveLength(1);
    expect(await keys('subjects/ann~/')).toHaveLength(7);
    const given = replies.flatMap(({ status, body }, i) =>
      status === 200 ? [{ red: i * 20, photo: (body as UserPictureReply).photo }] : [],
    );
    for (const { red, photo } of given) expect(await redOf(`photos/${photo}`)).toBe(red);
    const refused = replies.filter(({ status }) => status !== 200);
    for (const { status, body } of refused) {
      expect([status, body]).toMatchObject([
        409,
        {
          error: {
            code: 'too_many_photos',
            message: expect.stringMatching(/at most 8 photos.*delete one/) as string,
          },
        },
      ]);
    }
    expect(refused).toHaveLength(4);
  });
}

describe(PhotosController.name, () => {
  afterAll(() => jest.restoreAllMocks());

  describe('Photos on the local disk', () => {
    beforeAll(async () => {
      api = await startApi();
    });
    afterAll(() => api.close());
    severalPhotos();

    it.each(['0', '9', 'x', '1.0'])('should refuse the number %s', async (number) => {
      const { body } = await http(api.url).get(`/v1/users/ann/photos/${number}`).expect(400);
      expect(body).toMatchObject({
        error: { param: 'photo', message: expect.stringContaining('from 1 to 8') as string },
      });
    });

    it('should draw from the first that can be read, where nobody looks for faces', async () => {
      await api.storage.put('subjects/ann.jpg', Buffer.from('nothing'), 'image/jpeg');
      await added(await coloured(20));
      const { body } = await http(api.url).post('/v1/images/subject').send({ user_id: 'ann' }).expect(200);
      expect(api.pipeline.requests.at(-1)!.reference!.pixels[0]).toBe(20);
      expect(body).toMatchObject({ warnings: [UNREADABLE, 'a warning'] });
    });

    it('should draw from the first that is there, where nobody looks for faces', async () => {
      for (const red of [10, 20, 30]) await added(await coloured(red));
      await remove('photo');
      const { body } = await http(api.url).post('/v1/images/subject').send({ user_id: 'ann' }).expect(200);
      expect(api.pipeline.requests.at(-1)!.reference!.pixels[0]).toBe(20);
      const { body: job } = await http(api.url).get(`/v1/jobs/${(body as { id: string }).id}`);
      expect((job as JobReply).photos).toEqual([2]);
    });
  });

  describeWith(S3_GATEWAY, 'Photos in a bucket', () => {
    let gateway: S3Gateway;

    beforeAll(async () => {
      gateway = await startS3Gateway();
      const variables = {
        S3_BUCKET_NAME: 'photos',
        S3_ENDPOINT: gateway.endpoint,
        AWS_ACCESS_KEY_ID: gateway.accessKeyId,
        AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey,
      };
      const client = s3Client(loadConfig(variables));
      await client.send(new CreateBucketCommand({ Bucket: 'photos' }));
      client.destroy();
      api = await startApi(variables);
    }, 120_000);
    afterAll(async () => {
      await api?.close();
      await gateway?.stop();
    }, 30_000);
    severalPhotos();
  });

  describe('Photos that are searched for faces', () => {
    let small: Buffer;
    let blurred: Buffer;
    const subject = (options: object = {}) =>
      http(api.url)
        .post('/v1/images/subject')
        .send({ user_id: 'ann', ...options });
    const photosOf = async (reply: { body: unknown }) => {
      const { body } = await http(api.url).get(`/v1/jobs/${(reply.body as { id: string }).id}`);
      return (body as JobReply).photos;
    };

    beforeAll(async () => {
      api = await startApi({ FACE_DETECTION: 'true' });
      api.pipeline.hasPhotoMaker = true;
      small = await sharp(ASTRONAUT).resize(300).png().toBuffer();
      blurred = await sharp(ASTRONAUT).blur(3).png().toBuffer();
    });
    afterEach(async () => {
      await http(api.url).delete('/v1/users/ann').expect(204);
      expect([
        ...(await keys('faces/')),
        ...(await keys('subjects/')),
        ...(await copiesIn(api.storage)),
      ]).toEqual([]);
    });
    afterAll(() => api.close());

    it('should be drawn from by the size and sharpness of their faces', async () => {
      for (const photo of [await coloured(9), small, blurred, ASTRONAUT]) await added(photo);
      expect(await list()).toMatchObject({
        best: 4,
        data: [{ faces: [] }, { faces: [{}] }, { faces: [{}] }, { faces: [{}], crop: { by: 'face' } }],
      });
      expect(await keys('faces/')).toEqual(
        ['photo-2', 'photo-3', 'photo-4', 'photo'].map((photo) => `faces/ann/${photo}.json`),
      );
      const drawn = await subject().expect(200);
      expect(await photosOf(drawn)).toEqual([4]);
      const shown = await http(api.url).get('/v1/users/ann/photos/4?view=reference').expect(200);
      const { pixels } = api.pipeline.requests.at(-1)!.reference!;
      expect(
        (
          await sharp(shown.body as Buffer)
            .raw()
            .toBuffer()
        ).equals(pixels),
      ).toBe(true);
      for (const best of [2, 3, 1]) {
        await remove(`photos/${(await list()).best}`);
        expect(await list()).toMatchObject({ best });
      }
    });

    it('should have crops of their own', async () => {
      for (let i = 0; i < 2; i++) await added(ASTRONAUT);
      const crop = { x: 0, y: 0, width: 100, height: 100 };
      await http(api.url).put('/v1/users/ann/photos/2/crop').send(crop).expect(200);
      expect(await list()).toMatchObject({
        data: [{ crop: { by: 'face' } }, { photo: 2, crop: { ...crop, by: 'caller' } }],
      });
      await remove('photos/2/crop');
      const { body } = await http(api.url).get('/v1/users/ann/photos/2?view=info').expect(200);
      expect(body).toMatchObject({ photo: 2, crop: { by: 'face' } });
    });

    it('should all be given to PhotoMaker, as they were when it was asked', async () => {
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      api.pipeline.work = () => held;
      for (const red of [10, 20, 30]) await added(await coloured(red));
      const other = { prompt: 'x' };
      await http(api.url)
        .post('/v1/images/generations')
        .set('Prefer', 'respond-async')
        .send(other)
        .expect(202);
      const waits = subject({ identity: 'photomaker' }).then((reply) => reply);
      await until(async () => (await copiesIn(api.storage)).length === 3);
      for (const photo of ['photos/1', 'photos/2', 'photos/3']) await remove(photo);
      release();
      const reply = await waits;
      expect(reply.status).toBe(200);
      const { identity } = api.pipeline.requests.at(-1)!;
      expect(identity!.pictures.map((picture) => picture[0])).toEqual([10, 20, 30]);
      expect(await photosOf(reply)).toEqual([1, 2, 3]);
    });

    it('should be drawn from without those that nobody can read, which are named', async () => {
      await api.storage.put('subjects/ann.jpg', Buffer.from('nothing'), 'image/jpeg'); // by another program
      expect(await list()).toMatchObject({ data: [], best: null, warnings: [UNREADABLE] });
      const refused = await subject().expect(422);
      expect(refused.body).toMatchObject({
        error: {
          code: 'unsupported_picture',
          message: expect.stringMatching(/^Photo 1: Expected/) as string,
        },
      });
      for (const photo of [small, ASTRONAUT]) await added(photo);
      expect(await list()).toMatchObject({
        ...{ data: [{ photo: 2 }, { photo: 3 }], best: 3, warnings: [UNREADABLE] },
      });
      for (const [options, numbers] of [
        [{}, [3]],
        [{ identity: 'photomaker' }, [3, 2]],
      ] as const) {
        const drawn = await subject(options).expect(200);
        expect(await photosOf(drawn)).toEqual(numbers);
        expect((drawn.body as { warnings: string[] }).warnings[0]).toEqual(UNREADABLE);
      }
    }, 120_000);

    it('should be given to PhotoMaker with the best first, to which likeness is measured', async () => {
      for (const photo of [await coloured(9), small, ASTRONAUT]) await added(photo);
      const mirrored = await sharp(ASTRONAUT).removeAlpha().flop().raw().toBuffer();
      api.pipeline.paint = () => mirrored;
      const drawn = await subject({ identity: 'photomaker', size: '512x512' }).expect(200);
      api.pipeline.paint = undefined;
      expect(await photosOf(drawn)).toEqual([3, 2, 1]);
      expect(api.pipeline.requests.at(-1)!.identity!.pictures.at(-1)![0]).toBe(9);
      const { data } = drawn.body as { data: { likeness: number | null }[] };
      expect(data[0].likeness).toBeGreaterThan(0.8);
    }, 120_000);

    it('should be done without one that is deleted between the look and the copy', async () => {
      for (const photo of [small, ASTRONAUT]) await added(photo);
      const open = api.storage.open.bind(api.storage);
      let opened = 0;
      jest.spyOn(api.storage, 'open').mockImplementation(async (key) => {
        // The best one is opened to be looked at, then to be copied.
        if (key === 'subjects/ann~/2.png' && ++opened === 2) await api.storage.delete(key);
        return open(key);
      });
      const drawn = await subject().expect(200);
      expect([opened, await photosOf(drawn)]).toEqual([2, [1]]);
    });
  });
});
