import { ModelCatalog } from '@app/models';
import { ModelNames } from '../models/model.names';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { loadConfig } from '@app/config';
import { FaceFinder, FaceProcessOptions } from '@app/faces';
import { LocalCapabilities, type JobDraft } from '@app/jobs';
import { MemoryStorage } from '../../../../test/support/memory.storage';
import { PipelineStub } from '../../../../test/support/pipeline.stub';
import { loraLayer, writeSafetensors } from '../../../../test/support/safetensors';
import { UserFaces } from '../users/user.faces';
import { UserPhotos } from '../users/user.photos';
import { UserPictures } from '../users/user.pictures';
import type { PictureOptions } from './images.dto';
import { JobDrafter } from './job.draft';
import { JobInputs } from './job.inputs';
import type { PictureIntent } from './picture.intent';
import type { Jobs } from '@app/jobs';
import { ReferenceFetcher } from './reference.fetcher';

const never = new AbortController().signal;
const coloured = (background: string) =>
  sharp({ create: { width: 300, height: 224, channels: 3, background } })
    .png()
    .toBuffer();
const plain: PictureIntent = { route: 'generations', prompt: 'x' };

describe(JobDrafter.name, () => {
  let storage: MemoryStorage;
  let pipeline: PipelineStub;

  beforeEach(() => {
    storage = new MemoryStorage();
    pipeline = new PipelineStub();
  });

  /** By the records' clock, which may be another than the process's. */
  const now = 1_700_000_000_000;

  function drafter(variables: Record<string, string> = {}): JobDrafter {
    const config = loadConfig({ MODEL_PATH: 'demo', FACE_DETECTION: 'false', ...variables });
    const finder = new FaceFinder(new FaceProcessOptions());
    const pictures = new UserPictures(config, storage);
    const catalog = new ModelCatalog(config);
    const faces = new UserFaces(config, storage, pictures, finder, catalog);
    const capabilities = new LocalCapabilities(config, pipeline.as());
    return new JobDrafter(
      config,
      capabilities,
      new JobInputs(faces, new UserPhotos(pictures, faces), new ReferenceFetcher(config), storage),
      { now: () => Promise.resolve(now) } as Jobs,
      new ModelNames(config, capabilities, catalog),
    );
  }
  const write = (options: PictureOptions = {}, intent = plain, variables: Record<string, string> = {}) =>
    drafter(variables).draft(options, intent, '', { caller: '', signal: never });
  const put = async (key: string, background: string, at: number) =>
    storage.objects.set(key, { bytes: await coloured(background), at: new Date(at) });
  const drawnFrom = async ({ picture }: JobDraft) => {
    const copy = sharp(storage.objects.get(picture.referenceKey!)!.bytes);
    expect(await copy.metadata()).toMatchObject({ width: 224, height: 224, format: 'png' });
    return [...(await copy.raw().toBuffer()).subarray(0, 3)];
  };

  it('should prefer the avatar .png, then .jpg, .jpeg, .webp, then the newest in the folder', async () => {
    const draw = () =>
      write({}, { route: 'memory', prompt: 'x', userId: 'ann', reference: { of: 'avatar', userId: 'ann' } });
    await put('avatars/ann/old.png', '#000001', 1000);
    await put('avatars/ann/new.png', '#000002', 3000);
    await put('avatars/ann/middle.png', '#000003', 2000);
    await put('avatars/anna/newer.png', '#000004', 4000);
    expect(await drawnFrom(await draw())).toEqual([0, 0, 2]);
    for (const [ending, blue] of [
      ['webp', 5],
      ['jpeg', 6],
      ['jpg', 7],
      ['png', 8],
    ] as const) {
      await put(`avatars/ann.${ending}`, `#00000${blue}`, 1); // told apart by content, not by name
      expect(await drawnFrom(await draw())).toEqual([0, 0, blue]);
    }
  });

  it('should take defaults from the configuration and options from the request', async () => {
    const variables = { NEGATIVE_PROMPT: 'fog', DEFAULT_SIZE: '192x64', DEADLINE_SECONDS: '60' };
    const { picture, createdAt, deadlineAt } = await write({}, plain, variables);
    expect(picture).toMatchObject({ negativePrompt: 'fog', width: 192, height: 64, steps: 50 });
    expect(deadlineAt - createdAt).toBe(60_000);
    const chosen = { negative_prompt: '', size: '64x64', guidance_scale: 0, num_inference_steps: 1, seed: 0 };
    const other = await write({ ...chosen, deadline_seconds: 5 }, plain, variables);
    expect(other.picture).toMatchObject({
      negativePrompt: '',
      width: 64,
      steps: 1,
      guidanceScale: 0,
      seed: 0,
    });
    expect(other.deadlineAt - other.createdAt).toBe(5_000);
  });

  it('should leave a picture with clip_skip to workers that heed it, and no other', async () => {
    expect(await write()).toMatchObject({ version: 1 });
    const { version, picture } = await write({ clip_skip: 1 });
    expect({ version, clipSkip: picture.clipSkip }).toEqual({ version: 2, clipSkip: 1 });
  });

  it('should leave a picture that is no PNG to workers that make others', async () => {
    const { version, picture } = await write({ output_format: 'webp' });
    expect({ version, output: picture.output }).toEqual({
      version: 3,
      output: { format: 'webp', quality: 100 },
    });
    expect(await write({ output_format: 'png', output_compression: 100 })).toMatchObject({ version: 1 });
  });

  it('should name samplers and schedulers as the engine does, and leave both to workers that heed them', async () => {
    expect(await write({ sampler: 'DPM++ 2M Karras' })).toMatchObject({
      version: 3,
      picture: { sampler: 'dpm++2m', scheduler: 'karras' },
    });
    expect((await write({ sampler: 'DPM++ 2M Karras', scheduler: 'SGM Uniform' })).picture).toMatchObject({
      sampler: 'dpm++2m',
      scheduler: 'sgm_uniform',
    });
    const { version, picture } = await write({ scheduler: 'normal' });
    expect([version, picture.sampler, picture.scheduler]).toEqual([3, undefined, 'discrete']);
  });

  it('should leave a picture with a cache to workers that heed it, and no other', async () => {
    expect(await write({ cache: 'spectrum' })).toMatchObject({ version: 3, picture: { cache: 'spectrum' } });
    for (const cache of ['none', undefined] as const) {
      const { version, picture } = await write({ cache });
      expect([version, picture.cache]).toEqual([1, undefined]);
    }
  });

  it('should resolve a preset with the LoRAs that there are, and refuse where those are off', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'loras-'));
    await writeSafetensors(join(folder, 'lcm-lora.safetensors'), loraLayer('a', 2, 2));
    pipeline.loraDir = folder;
    const { picture } = await write({ preset: 'fast', guidance_scale: 1 });
    expect(picture).toMatchObject({
      ...{ sampler: 'lcm', steps: 6, guidanceScale: 1 },
      loras: [{ name: 'lcm-lora', scale: 1 }],
    });
    await writeSafetensors(join(folder, 'sdxl_lightning_4step_lora.safetensors'), loraLayer('a', 2, 2));
    const schedule = async (sampler?: string) => (await write({ preset: 'fast', sampler })).picture.scheduler;
    expect([await schedule(), await schedule('Euler'), await schedule('DPM++ 2M Karras')]).toEqual([
      ...['sgm_uniform', 'sgm_uniform', 'karras'],
    ]);
    const off = { ENABLE_LORA: 'false' };
    await expect(write({ preset: 'fast' }, plain, off)).rejects.toMatchObject({ code: 'lora_disabled' });
    expect((await write({ preset: 'balanced' }, plain, off)).picture.cache).toBe('spectrum');
    await rm(folder, { recursive: true });
  });

  it('should leave several pictures to workers that make them, and take a share of the queue for each', async () => {
    expect(await write({ size: '1024x1024' })).toMatchObject({ version: 1, cost: 11 });
    expect(await write({ size: '1024x1024', n: 4 })).toMatchObject({
      ...{ version: 3, cost: 45 },
      picture: { count: 4 },
    });
    const choice = { candidates: 4, min_likeness: 0.8, require_face: true };
    const faces = { FACE_DETECTION: 'true' };
    expect(await write({ size: '1024x1024' }, { ...plain, choice }, faces)).toMatchObject({
      ...{ version: 5, cost: 45 },
      picture: { candidates: 4, minLikeness: 0.8, requireFace: true },
    });
  });

  it('should make keys that nobody can guess: 96 random bits are in each, beside the name of the user', async () => {
    const intent: PictureIntent = { route: 'memory', prompt: 'x', userId: 'ann' };
    const drafts = await Promise.all(Array.from({ length: 500 }, () => write({}, intent)));
    const ids = drafts.map(
      ({ picture }) => /^generated\/ann\/memory_([0-9a-f]{24})\.png$/.exec(picture.key)![1],
    );
    expect(new Set(ids).size).toBe(500);
    // No place of the id is a counter, a time or a version: each takes all 16 digits (4 bits in 24 places).
    for (let place = 0; place < 24; place++) {
      expect([place, new Set(ids.map((id) => id[place])).size]).toEqual([place, 16]);
    }
  });

  it('should decide a seed and a key that a rerun finds again', async () => {
    const intent: PictureIntent = { route: 'subject', prompt: 'x', userId: 'ann' };
    const drafts = [await write({}, intent), await write({}, intent)];
    expect(drafts[0].picture.seed).not.toBe(drafts[1].picture.seed);
    for (const { id, picture } of drafts) expect(picture.key).toBe(`generated/ann/subject_${id}.png`);
    expect(JSON.parse(JSON.stringify(drafts[0]))).toMatchObject({
      picture: { seed: drafts[0].picture.seed },
    });
  });

  it('should tell a stored avatar that is no picture, and keep nothing', async () => {
    await storage.put('avatars/ann.png', Buffer.from('hello'));
    const intent = { ...plain, userId: 'ann', reference: { of: 'avatar', userId: 'ann' } } as const;
    await expect(write({}, intent)).rejects.toMatchObject({ code: 'unsupported_picture', param: 'user_id' });
    expect(storage.keys).toEqual(['avatars/ann.png']);
  });

  it('should refuse a size for which no engine has the memory, with one that fits', () => {
    pipeline.mostOf = { 0: 1_088 * 1_088 };
    expect(() => drafter().check({ size: '1536x1024' }, plain)).toThrow(
      expect.objectContaining({
        ...{ code: 'invalid_request', param: 'size' },
        message:
          'Expected a size for which the device has the memory, such as 1280x832, but received 1536x1024',
      }) as Error,
    );
    expect(() => drafter().check({ size: '1280x832' }, plain)).not.toThrow();
  });

  it('should refuse LoRAs and pictures that are switched off', () => {
    pipeline.hasIpAdapter = false;
    const off = drafter({ ENABLE_LORA: 'false' });
    expect(() => off.check({ loras: [{ name: 'a' }] }, plain)).toThrow(
      expect.objectContaining({ code: 'lora_disabled' }) as Error,
    );
    const reference = { url: 'http://x/' };
    expect(() => off.check({}, { ...plain, reference })).toThrow(
      expect.objectContaining({ code: 'ip_adapter_disabled' }) as Error,
    );
  });

  it.each(['starting', 'loading', 'warming', 'failed', 'stopped'] as const)(
    'should refuse work while an engine that never was ready is %s',
    (state) => {
      pipeline.everReady = false;
      pipeline.state = { state, reason: 'no GPU device', model: 'demo' };
      expect(() => drafter().assertAccepting()).toThrow(
        expect.objectContaining({ code: 'engine_not_ready' }) as Error,
      );
    },
  );

  it('should take work while the engine is started again, which is a matter of seconds', () => {
    pipeline.state = { state: 'loading', model: 'demo' };
    expect(() => drafter().assertAccepting()).not.toThrow();
    pipeline.state = { state: 'failed', model: 'demo' };
    expect(() => drafter().assertAccepting()).toThrow();
  });

  it('should name LoRAs by the hash of their file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'loras-'));
    await writeSafetensors(join(folder, 'grain.safetensors'), loraLayer('a', 2, 2));
    pipeline.loraDir = folder;
    const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/) as string;
    expect((await write({ loras: [{ name: 'grain' }] })).picture.loras).toEqual([
      { name: 'grain', scale: 1, sha256 },
    ]);
    expect((await write({ loras: [{ name: 'grain', scale: -0.5 }] })).picture.loras[0].scale).toBe(-0.5);
    await rm(folder, { recursive: true });
  });

  it('should draw from a picture at an address, and tell when there is none', async () => {
    const bytes = await coloured('#0000ff');
    const server = createServer((request, response) =>
      response.end(request.url === '/picture' ? bytes : 'hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const draw = (path: string) =>
      write({}, { ...plain, reference: { url: address + path } }, { REFERENCE_URL_ALLOW: '127.0.0.1' });
    expect(await drawnFrom(await draw('/picture'))).toEqual([0, 0, 255]);
    await expect(draw('/text')).rejects.toMatchObject({
      code: 'unsupported_picture',
      param: 'reference_image_url',
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});
