import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { FaceFinder } from '@app/faces';
import { aroundFace, toReference } from '@app/pictures';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { ASTRONAUT, drawings, emoji } from '../../../../test/support/face.pictures';
import { http } from '../../../../test/support/http';
import type { UserPictureInfo, UserPictureReply } from './users.dto';

const ground = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#8a9a7a' } });
const NO_FACE = 'no face found; the part of the picture that draws the eye is used';
const draw = { prefer: 'respond-async' };

describe('The faces in users’ pictures', () => {
  let api: Api;
  /** Whoever asks for faces, and what became of it. */
  let find: jest.SpyInstance;
  /** Her face at the right. */
  let wide: Buffer;

  const put = async (path: string, body: Buffer) => {
    const reply = await http(api.url)
      .put(`/v1/users/ann/${path}`)
      .set('Content-Type', 'image/png')
      .send(body)
      .expect(200);
    return reply.body as UserPictureReply;
  };
  const info = async (path = 'photo') =>
    (await http(api.url).get(`/v1/users/ann/${path}?view=info`).expect(200)).body as UserPictureInfo;
  const reference = async (path = 'photo') =>
    (await http(api.url).get(`/v1/users/ann/${path}?view=reference`).expect(200)).body as Buffer;
  const pixels = (png: Buffer) => sharp(png).raw().toBuffer();
  const remembered = async () => {
    const keys: string[] = [];
    for await (const { key } of api.storage.list('faces/')) keys.push(key);
    return keys.sort();
  };
  /** The next look waits. */
  const hold = () => {
    const finder = api.app.get(FaceFinder, { strict: false });
    let [reach, release] = [() => {}, () => {}];
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const look = finder.find.bind(finder);
    find.mockImplementationOnce(async (...asked: Parameters<FaceFinder['find']>) => {
      const found = await look(...asked);
      reach();
      await released;
      return found;
    });
    return { reached, release };
  };

  beforeAll(async () => {
    wide = await ground(1400, 700)
      .composite([{ input: ASTRONAUT, left: 880, top: 150 }])
      .png()
      .toBuffer();
  });

  describe('where they are looked for', () => {
    beforeAll(async () => {
      api = await startApi({ FACE_DETECTION: 'true' });
    });
    beforeEach(() => {
      find = jest.spyOn(api.app.get(FaceFinder, { strict: false }), 'find');
    });
    afterEach(async () => {
      jest.restoreAllMocks();
      await http(api.url).delete('/v1/users/ann').expect(204);
      expect(await remembered()).toEqual([]);
    });
    afterAll(() => api.close());

    it('should be found at the upload of a photo, and told in words', async () => {
      const stored = await put('photo', wide);
      expect(stored).toMatchObject({ width: 1024, height: 512 });
      const { warnings } = stored;
      expect(warnings).toEqual([
        expect.stringMatching(/^the face is 6\d pixels wide; 200 or more give a better likeness$/),
      ]);
      const seen = await info();
      expect(seen).toMatchObject({ width: 1024, height: 512, face_detection: 'done', warnings });
      expect(seen.faces).toHaveLength(1);
      const [face] = seen.faces;
      expect([Math.abs(face.x - 774) < 4, Math.abs(face.y - 164) < 4]).toEqual([true, true]);
      expect(seen.crop).toMatchObject({ by: 'face' });
      expect(find).toHaveBeenCalledTimes(1);
      expect(await remembered()).toEqual(['faces/ann/photo.json']);
    });

    it('should be what the model sees, and the view of it', async () => {
      await put('photo', wide);
      const { x, y, width, height } = (await info()).crop as {
        x: number;
        y: number;
        width: number;
        height: number;
      };
      const shown = await reference();
      expect(await sharp(shown).metadata()).toMatchObject({ format: 'png', width: 224, height: 224 });
      const { body } = await http(api.url).get('/v1/users/ann/photo').expect(200);
      const cut = await toReference(body as Buffer, undefined, undefined, { x, y, width, height });
      expect((await pixels(shown)).equals(cut)).toBe(true);
      await http(api.url).post('/v1/images/subject').send({ user_id: 'ann' }).expect(200);
      expect(api.pipeline.requests.at(-1)!.reference!.pixels.equals(cut)).toBe(true);
    });

    it('should be found in a photo that another program stored when it is first used, once', async () => {
      await api.storage.put('subjects/ann.jpg', await sharp(wide).jpeg().toBuffer(), 'image/jpeg');
      expect(await remembered()).toEqual([]);
      await http(api.url).post('/v1/images/subject').set(draw).send({ user_id: 'ann' }).expect(202);
      expect(await remembered()).toEqual(['faces/ann/photo.json']);
      const seen = await info();
      // In pixels of that file, which is larger than what the service stores.
      expect(seen).toMatchObject({ width: 1400, height: 700 });
      expect(Math.abs(seen.faces[0].x - 1058) < 5).toBe(true);
      await reference();
      expect(find).toHaveBeenCalledTimes(1);

      await api.storage.put('subjects/ann.jpg', await ground(100, 100).jpeg().toBuffer(), 'image/jpeg');
      expect(await info()).toMatchObject({ width: 100, height: 100, faces: [], crop: { by: 'attention' } });
      expect(find).toHaveBeenCalledTimes(2);
    });

    it('should leave avatars without any as an attention crop has them', async () => {
      const [all, drawn] = await Promise.all([emoji(), drawings()]);
      // A robot and a house: what is drawn as a person's face counts as one.
      for (const picture of [all[3], all[12], all[28], drawn[5], drawn[16]]) {
        const { warnings } = await put('avatar', picture);
        expect(warnings).toEqual([NO_FACE]);
        const { body } = await http(api.url).get('/v1/users/ann/avatar').expect(200);
        const cut = await toReference(body as Buffer, undefined, undefined, 'attention');
        expect((await pixels(await reference('avatar'))).equals(cut)).toBe(true);
      }
    });

    it('should be the caller’s choice', async () => {
      const crop = { x: 10, y: 20, width: 300, height: 200 };
      const set = (sent: object) => http(api.url).put('/v1/users/ann/photo/crop').send(sent);
      expect((await set(crop).expect(404)).body).toMatchObject({ error: { code: 'photo_not_found' } });
      await put('photo', wide);
      expect((await set(crop).expect(200)).body).toMatchObject({ crop: { ...crop, by: 'caller' } });
      const corner = await sharp(await reference())
        .extract({ left: 0, top: 0, width: 1, height: 1 })
        .raw()
        .toBuffer();
      expect([...corner]).toEqual([255, 255, 255]);
      for (const outside of [
        { ...crop, x: 725 },
        { ...crop, y: 313 },
      ]) {
        const { body } = await set(outside).expect(400);
        expect(body).toMatchObject({
          error: { message: expect.stringContaining('inside the photo, which is 1024x512') },
        });
      }
      await set({ ...crop, width: 0 }).expect(400);
      await http(api.url).delete('/v1/users/ann/photo/crop').expect(204);
      expect(await info()).toMatchObject({ crop: { by: 'face' } });

      // It was of that photo.
      await set(crop).expect(200);
      await put('photo', ASTRONAUT);
      expect(await info()).toMatchObject({ crop: { by: 'face' } });
      expect(await remembered()).toEqual(['faces/ann/photo.json']);
      await put('photo', await ground(400, 300).png().toBuffer());
      expect(await info()).toMatchObject({ warnings: [NO_FACE] });
      await set(crop).expect(200);
      expect(await info()).toMatchObject({ warnings: ['no face found'], crop: { by: 'caller' } });
    });

    it('should be forgotten when the picture is asked for and another program has deleted it', async () => {
      const crop = { x: 0, y: 0, width: 100, height: 100 };
      const subject = () => http(api.url).post('/v1/images/subject').send({ user_id: 'ann' });
      for (const ask of [subject, () => http(api.url).get('/v1/users/ann/photo?view=info')]) {
        await put('photo', wide);
        await http(api.url).put('/v1/users/ann/photo/crop').send(crop).expect(200);
        expect(await remembered()).toEqual(['faces/ann/photo.crop.json', 'faces/ann/photo.json']);
        await api.storage.delete('subjects/ann.png');
        await ask().expect(404);
        expect(await remembered()).toEqual([]);
      }
    });

    it('should not fail an upload when nobody can look, and be looked for at the next ask', async () => {
      find.mockResolvedValueOnce(undefined);
      const { warnings } = await put('photo', wide);
      expect(warnings).toEqual([
        'the photo was not searched for faces; it is tried again when it is next used',
      ]);
      expect(await remembered()).toEqual([]);
      find.mockResolvedValueOnce(undefined);
      expect(await info()).toMatchObject({ face_detection: 'failed', faces: [], crop: { by: 'attention' } });
      expect(await info()).toMatchObject({ face_detection: 'done', crop: { by: 'face' } });
    });

    it('should survive the death of the process that looks', async () => {
      const finder = api.app.get(FaceFinder, { strict: false });
      const upload = put('photo', wide);
      await until(() => find.mock.calls.length === 1 && finder.pid !== undefined);
      process.kill(finder.pid!, 'SIGKILL');
      expect(['done', 'failed']).toContain((await upload.then(() => info())).face_detection);
      expect(await info()).toMatchObject({ face_detection: 'done' });
    });

    it.each([
      ['the photo', 'photo'],
      ['the user', ''],
    ])('should leave nothing when %s is deleted while somebody looks', async (_, path) => {
      await api.storage.put('subjects/ann.png', wide, 'image/png');
      const { reached, release } = hold();
      const asked = http(api.url)
        .get('/v1/users/ann/photo?view=info')
        .then(({ status }) => status);
      await reached;
      const removed = http(api.url)
        .delete(`/v1/users/ann/${path}`)
        .then(({ status }) => status);
      if (path) expect(await removed).toBe(204);
      release();
      expect(await removed).toBe(204);
      await asked;
      expect(await remembered()).toEqual([]);
    });

    it('should be those of the photo that is there, whoever uploads another at once', async () => {
      const { reached, release } = hold();
      const first = put('photo', wide);
      await reached;
      await put('photo', await ground(300, 200).png().toBuffer());
      release();
      await first; // which stores its photo last
      expect(await info()).toMatchObject({ width: 1024, crop: { by: 'face' } });
      // As a crash between both writes leaves it: what is known is of another photo.
      await api.storage.put('subjects/ann.png', await ground(300, 200).png().toBuffer(), 'image/png');
      expect(await info()).toMatchObject({ width: 300, faces: [] });
    });

    it('should take nothing for its own that is not', async () => {
      await put('photo', wide);
      for (const foreign of ['', 'null', '{"sha256":1}', '{'.repeat(100_000)]) {
        await api.storage.put('faces/ann/photo.json', Buffer.from(foreign), 'application/json');
        expect(await info()).toMatchObject({ face_detection: 'done', crop: { by: 'face' } });
      }
    });
  });

  describe('where nobody looks', () => {
    beforeAll(async () => {
      api = await startApi();
      find = jest.spyOn(FaceFinder.prototype, 'find');
    });
    afterAll(async () => {
      await api.close();
      jest.restoreAllMocks();
    });

    it('should be no question: the middle is seen, or the caller’s crop', async () => {
      expect((await put('photo', wide)).warnings).toBeUndefined();
      expect(await info()).toMatchObject({ face_detection: 'off', crop: { by: 'centre' }, warnings: [] });
      const { body } = await http(api.url).get('/v1/users/ann/photo').expect(200);
      expect((await pixels(await reference())).equals(await toReference(body as Buffer))).toBe(true);
      const crop = { x: 700, y: 100, width: 200, height: 200 };
      await http(api.url).put('/v1/users/ann/photo/crop').send(crop).expect(200);
      const cut = await toReference(body as Buffer, undefined, undefined, crop);
      expect((await pixels(await reference())).equals(cut)).toBe(true);
      expect(find).not.toHaveBeenCalled();
    });

    it('should not be told what was seen when somebody looked', async () => {
      await put('photo', wide);
      const { body } = await http(api.url).get('/v1/users/ann/photo').expect(200);
      const sha256 = createHash('sha256')
        .update(body as Buffer)
        .digest('hex');
      const face = { ...{ x: 1, y: 1, width: 90, height: 90, score: 1 }, roll: 0, yaw: 0, pitch: 0 };
      const sight = { sha256, width: 1024, height: 512, faces: [{ ...face, sharpness: 4 }] };
      await api.storage.put('faces/ann/photo.json', Buffer.from(JSON.stringify(sight)), 'application/json');
      expect(await info()).toMatchObject({ face_detection: 'off', width: 1024, faces: [] });
    });
  });

  describe('where models are of several kinds', () => {
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'models-'));
      const adapter = (kind: string) =>
        `h94/IP-Adapter:sdxl_models/ip-adapter-${kind}_sdxl_vit-h.safetensors`;
      const plus = `plus: { MODEL_PATH: demo, IP_ADAPTER_PATH: "${adapter('plus')}" }`;
      await writeFile(join(folder, 'models.yaml'), `usual: { MODEL_PATH: demo }\n${plus}\n`);
      api = await startApi({
        ...{ FACE_DETECTION: 'true', IP_ADAPTER_PATH: adapter('plus-face') },
        MODELS_FILE: join(folder, 'models.yaml'),
      });
      api.pipeline.hasPhotoMaker = true;
    });
    afterAll(async () => {
      await api.close();
      await rm(folder, { recursive: true });
    });

    it('should be shown alone to an IP-Adapter for faces, and with shoulders to others', async () => {
      await put('photo', wide);
      const { body } = await http(api.url).get('/v1/users/ann/photo').expect(200);
      const { faces, width, height } = await info();
      const cut = (framing: 'face' | 'shoulders') =>
        toReference(body as Buffer, undefined, undefined, aroundFace(faces[0], { width, height }, framing));
      const [face, shoulders] = [await cut('face'), await cut('shoulders')];
      expect(face.equals(shoulders)).toBe(false);
      expect((await pixels(await reference())).equals(face)).toBe(true);
      const seen = async (options: object) => {
        await http(api.url)
          .post('/v1/images/subject')
          .send({ user_id: 'ann', ...options })
          .expect(200);
        const { reference: one, identity } = api.pipeline.requests.at(-1)!;
        return one?.pixels ?? identity!.pictures[0];
      };
      expect((await seen({})).equals(face)).toBe(true);
      expect((await seen({ identity: 'photomaker' })).equals(shoulders)).toBe(true);
      // It waits for an engine with its model.
      const waits = { user_id: 'ann', model: 'plus' };
      const reply = await http(api.url).post('/v1/images/subject').set(draw).send(waits).expect(202);
      const copy = await api.storage.read(`inputs/${(reply.body as { id: string }).id}.png`, 1e6);
      expect((await pixels(copy!)).equals(shoulders)).toBe(true);
    }, 120_000);
  });
});
