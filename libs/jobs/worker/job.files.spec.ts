import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Config } from '@app/config';
import type { ServiceError } from '@app/errors';
import { findLora, findUpscaler } from '@app/models';
import { marksOf, readParameters } from '../../../test/support/parameters.reader';
import { MemoryStorage } from '../../../test/support/memory.storage';
import { PipelineStub } from '../../../test/support/pipeline.stub';
import { loraLayer, writeSafetensors } from '../../../test/support/safetensors';
import { writeUpscaler } from '../../../test/support/upscaler';
import { inputsOf, type PictureJob } from '../picture.job';
import { JobFiles } from './job.files';
import { PictureUploads } from './picture.uploads';
import type { GeneratedPicture } from '@app/pipeline';
import { encodeMask, encodePng } from '@app/pictures';

const job: PictureJob = {
  id: '0123456789abcdef01234567',
  route: 'memory',
  userId: 'ann',
  key: 'generated/ann/memory_0123456789abcdef01234567.png',
  prompt: 'a lighthouse',
  negativePrompt: 'fog',
  width: 128,
  height: 64,
  steps: 4,
  guidanceScale: 5,
  seed: 42,
  loras: [],
  ipAdapterScale: 0.6,
};
const picture: GeneratedPicture = {
  pixels: Buffer.alloc(128 * 64 * 3, 7),
  width: 128,
  height: 64,
  timings: { text: 2.6, image: 3, sampling: 4, decode: 5, engine: 12 },
  warnings: ['a warning'],
  mergedAnew: false,
};

describe(JobFiles.name, () => {
  let storage: MemoryStorage;
  let pipeline: PipelineStub;
  let files: JobFiles;
  const never = new AbortController().signal;
  const limits = { revoked: never, signal: never };
  const clock = () => ({ waited: 100, begunAt: performance.now() - 900 });

  let config: Config;

  beforeEach(() => {
    config = new Config();
    storage = new MemoryStorage();
    pipeline = new PipelineStub();
    files = new JobFiles(pipeline.as(), storage, new PictureUploads(storage), config);
  });

  it('should hand the job to the engine as it is', async () => {
    expect(await files.load({ ...job, clipSkip: 1 })).toEqual({
      prompt: 'a lighthouse',
      negativePrompt: 'fog',
      width: 128,
      height: 64,
      steps: 4,
      guidanceScale: 5,
      seed: 42,
      clipSkip: 1,
      loras: [],
    });
  });

  it('should give the engine the copy of the reference picture bit by bit, and miss one that is gone', async () => {
    const pixels = Buffer.from(Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * 7919) % 256));
    const referenceKey = 'inputs/x.png';
    await storage.put(referenceKey, await encodePng(pixels, 224, 224));
    const { reference } = await files.load({ ...job, referenceKey });
    expect(reference?.strength).toBe(0.6);
    expect(reference?.pixels.equals(pixels)).toBe(true);
    await storage.delete(referenceKey);
    await expect(files.load({ ...job, referenceKey })).rejects.toMatchObject({
      code: 'generation_failed',
    });
  });

  it('should give PhotoMaker the copies of all its pictures, and miss one that is gone', async () => {
    const keys = ['inputs/x.png', 'inputs/x-2.png', 'inputs/x-5.png'];
    for (const [i, key] of keys.entries())
      await storage.put(key, await encodePng(Buffer.alloc(224 * 224 * 3, i), 224, 224));
    const [referenceKey, ...moreReferenceKeys] = keys;
    const asked = { ...job, referenceKey, moreReferenceKeys, photos: [1, 2, 5], identityStrength: 0.5 };
    const { identity, ...others } = await files.load(asked);
    expect(identity!.pictures.map((picture) => picture[0])).toEqual([0, 1, 2]);
    expect(Object.keys(others)).toEqual(Object.keys(await files.load(job)));
    expect(inputsOf(asked)).toEqual(keys);
    await storage.delete(keys[2]);
    await expect(files.load(asked)).rejects.toMatchObject({ code: 'generation_failed' });
  });

  it('should give the engine the copies of a picture to begin from and its mask bit by bit', async () => {
    const pixels = Buffer.from(Array.from({ length: 128 * 64 * 3 }, (_, i) => (i * 7919) % 256));
    const mask = Buffer.from(Array.from({ length: 128 * 64 }, (_, i) => (i % 3 === 0 ? 255 : 0)));
    const [imageKey, maskKey] = ['inputs/x-image.png', 'inputs/x-mask.png'];
    await storage.put(imageKey, await encodePng(pixels, 128, 64));
    await storage.put(maskKey, await encodeMask(mask, 128, 64));
    const request = await files.load({ ...job, imageKey, maskKey, strength: 0.4 });
    expect(request).not.toHaveProperty('strength');
    expect(request.image?.strength).toBe(0.4);
    expect(request.image?.pixels.equals(pixels)).toBe(true);
    expect(request.mask?.equals(mask)).toBe(true);
    await storage.delete(maskKey);
    await expect(files.load({ ...job, imageKey, maskKey })).rejects.toMatchObject({
      code: 'generation_failed',
    });
  });

  it('should take a LoRA only while it is the file that the job was accepted with', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'loras-'));
    const path = join(folder, 'grain.safetensors');
    await writeSafetensors(path, loraLayer('a', 2, 2));
    pipeline.loraDir = folder;
    const { sha256 } = await findLora(folder, 'grain');
    const withLora = { ...job, loras: [{ name: 'grain', scale: 0.5, sha256 }] };
    expect((await files.load(withLora)).loras).toEqual([{ name: 'grain', scale: 0.5, path, tensors: 3 }]);
    await writeSafetensors(path, loraLayer('b', 2, 2));
    await expect(files.load(withLora)).rejects.toMatchObject({
      code: 'lora_not_found',
      param: 'loras.0.name',
    });
    await rm(folder, { recursive: true });
  });

  it('should take an upscaler only while it is the file that the job was accepted with', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upscalers-'));
    const path = join(folder, 'sharp.safetensors');
    await writeUpscaler(path, 2);
    pipeline.upscalerDir = folder;
    const { sha256 } = await findUpscaler(folder, 'sharp');
    const file = { name: 'sharp', sha256 };
    const sampled = { width: 256, height: 128, steps: 3, strength: 0.5 };
    const larger: PictureJob = { ...job, upscaler: file, hires: { scale: 2, ...sampled, model: file } };
    expect(await files.load(larger)).toMatchObject({ upscaler: path });
    expect((await files.load(larger)).hires).toEqual({ ...sampled, model: path });
    const plain = { ...job, hires: { scale: 2, ...sampled, upscaler: 'Lanczos' as const } };
    expect((await files.load(plain)).hires).toEqual({ ...sampled, upscaler: 'Lanczos' });
    await writeUpscaler(path, 4);
    const another = (of: PictureJob) =>
      files.load(of).catch(({ code, param }: ServiceError) => [code, param]);
    expect(await another({ ...job, upscaler: file })).toEqual(['upscaler_not_found', 'upscale']);
    expect(await another({ ...larger, upscaler: undefined })).toEqual([
      'upscaler_not_found',
      'hires.upscaler',
    ]);
    pipeline.upscalerDir = undefined;
    expect(await another({ ...job, upscaler: file })).toEqual(['upscaler_not_found', 'upscale']);
    await rm(folder, { recursive: true });
  });

  it('should store an enlarged picture in the size that it came in', async () => {
    const enlarged = { ...picture, width: 256, height: 128, pixels: Buffer.alloc(256 * 128 * 3, 7) };
    const result = await files.store(
      { ...job, upscaler: { name: 'sharp', sha256: '' } },
      enlarged,
      clock(),
      limits,
    );
    expect(result.size).toBe('256x128');
    const file = storage.objects.get(job.key)!.bytes;
    expect(await sharp(file).metadata()).toMatchObject({ width: 256, height: 128 });
    expect(readParameters((await marksOf(file)).parameters[0])).toMatchObject({ Size: '128x64' });
  });

  it('should store a PNG under the key of the job and tell where', async () => {
    const result = await files.store(job, picture, clock(), limits);
    expect(result).toMatchObject({
      key: job.key,
      s3_uri: `s3://memory/${job.key}`,
      seed: 42,
      size: '128x64',
      warnings: ['a warning'],
    });
    expect(storage.keys).toEqual([job.key]);
    const stored = await sharp(storage.objects.get(job.key)!.bytes).metadata();
    expect(stored).toMatchObject({ format: 'png', width: 128, height: 64 });
  });

  it.each(['jpeg', 'webp'] as const)('should store a %s, smaller with less quality', async (format) => {
    const pixels = Buffer.from(
      Array.from({ length: 128 * 64 * 3 }, (_, i) => (Math.floor(i / 3) * 7919) % 251),
    );
    const key = `generated/a.${format}`;
    const put = jest.spyOn(storage, 'put');
    const stored = async (quality: number) => {
      const asked = { ...job, key, output: { format, quality } };
      await files.store(asked, { ...picture, pixels }, clock(), limits);
      return storage.objects.get(key)!.bytes;
    };
    const [best, least] = [await stored(100), await stored(0)];
    expect(put.mock.lastCall).toEqual([key, expect.any(Buffer), `image/${format}`]);
    expect(await sharp(best).metadata()).toMatchObject({ format, width: 128, height: 64 });
    expect(best.length).toBeGreaterThan(2 * least.length);
    expect((await stored(100)).equals(best)).toBe(true);
    const back = await sharp(best).raw().toBuffer();
    const error = back.reduce((sum, value, i) => sum + Math.abs(value - pixels[i]), 0) / pixels.length;
    expect(error).toBeLessThan(4);
  });

  it('should store each picture of a batch under a key of its own, and discard them all', async () => {
    const batch = { ...job, count: 3 };
    const pixels = Buffer.concat([1, 2, 3].map((value) => Buffer.alloc(128 * 64 * 3, value)));
    const result = await files.store(batch, { ...picture, pixels }, clock(), limits);
    const keys = [job.key, ...[2, 3].map((n) => job.key.replace('.png', `-${n}.png`))];
    expect(storage.keys).toEqual(keys.toSorted());
    expect([result, ...result.more!]).toMatchObject(keys.map((key, i) => ({ key, seed: 42 + i })));
    for (const [i, key] of keys.entries()) {
      const { data, info } = await sharp(storage.objects.get(key)!.bytes)
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect([info.width, info.height, data[0]]).toEqual([128, 64, i + 1]);
    }
    await files.discard(batch, never);
    expect(storage.keys).toEqual([]);
  });

  it('should tell in each picture of a batch what made it, with its own seed', async () => {
    const batch = { ...job, count: 2 };
    const two = { ...picture, pixels: Buffer.concat([picture.pixels, picture.pixels]) };
    const result = await files.store(batch, two, clock(), limits);
    expect(result).toMatchObject({ model: pipeline.status().model });
    for (const [i, { key }] of [result, ...result.more!].entries()) {
      const { parameters, source } = await marksOf(storage.objects.get(key)!.bytes);
      const read = parameters.map(readParameters);
      expect(read).toMatchObject([
        { Prompt: 'a lighthouse', 'Negative prompt': 'fog', Seed: String(42 + i) },
      ]);
      expect(source).toMatch(/\/trainedAlgorithmicMedia$/);
    }
  });

  it('should tell nothing but that it was generated where parameters are not to be told', async () => {
    config.EMBED_PARAMETERS = false;
    expect((await files.store(job, picture, clock(), limits)).model).toBeUndefined();
    const { bytes } = storage.objects.get(job.key)!;
    expect(bytes.includes('lighthouse')).toBe(false);
    expect(await marksOf(bytes)).toMatchObject({ parameters: [], source: expect.any(String) as string });
  });

  it('should tell of an edit that a picture is a part of it', async () => {
    await files.store({ ...job, imageKey: 'inputs/a.png' }, picture, clock(), limits);
    expect((await marksOf(storage.objects.get(job.key)!.bytes)).source).toMatch(/composite/);
  });

  it('should tell whole milliseconds of every phase', async () => {
    const { timings } = await files.store(job, picture, clock(), limits);
    expect(Object.keys(timings)).toEqual([
      'queue_ms',
      'text_ms',
      'image_ms',
      'sampling_ms',
      'decode_ms',
      'faces_ms',
      'encode_ms',
      'store_ms',
      'total_ms',
    ]);
    expect(timings).toMatchObject({ text_ms: 3, image_ms: 3, sampling_ms: 4, decode_ms: 5 });
    expect(timings.queue_ms).toBe(100);
    for (const ms of Object.values(timings)) expect(Number.isInteger(ms)).toBe(true);
    expect(timings.total_ms).toBeGreaterThanOrEqual(1000);
  });

  it('should note a change of the merged LoRAs, which is in the times', async () => {
    expect(await files.store(job, picture, clock(), limits)).not.toHaveProperty('mergedAnew');
    expect(await files.store(job, { ...picture, mergedAnew: true }, clock(), limits)).toMatchObject({
      mergedAnew: true,
    });
  });

  it('should store nothing once the job was cancelled', async () => {
    const revoked = AbortSignal.abort(new Error('cancelled'));
    await expect(files.store(job, picture, clock(), { ...limits, revoked })).rejects.toThrow('cancelled');
    expect(storage.keys).toEqual([]);
  });
});
