import sharp from 'sharp';
import { MemoryStorage } from '../../test/support/memory.storage';
import { PipelineStub } from '../../test/support/pipeline.stub';
import { JobRunner, type PictureJob } from './job.runner';

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

describe(JobRunner.name, () => {
  let storage: MemoryStorage;
  let pipeline: PipelineStub;
  let runner: JobRunner;

  beforeEach(() => {
    storage = new MemoryStorage();
    pipeline = new PipelineStub();
    runner = new JobRunner(pipeline.as(), storage);
  });

  it('should store a PNG under the key of the job and tell where', async () => {
    const result = await runner.run(job);
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

  it('should tell whole milliseconds of every phase', async () => {
    const { timings } = await runner.run(job);
    expect(Object.keys(timings)).toEqual([
      'queue_ms',
      'text_ms',
      'image_ms',
      'sampling_ms',
      'decode_ms',
      'encode_ms',
      'store_ms',
      'total_ms',
    ]);
    expect(timings).toMatchObject({ queue_ms: 1, text_ms: 3, image_ms: 3, sampling_ms: 4, decode_ms: 5 });
    for (const ms of Object.values(timings)) expect(Number.isInteger(ms)).toBe(true);
    expect(timings.total_ms).toBeGreaterThanOrEqual(timings.encode_ms);
  });

  it('should hand the job to the pipeline as it is, and the reference only when there is one', async () => {
    await runner.run(job);
    expect(pipeline.requests[0]).toEqual({
      prompt: 'a lighthouse',
      negativePrompt: 'fog',
      width: 128,
      height: 64,
      steps: 4,
      guidanceScale: 5,
      seed: 42,
      loras: [],
    });
    const reference = Buffer.alloc(3);
    await runner.run(job, { reference });
    expect(pipeline.requests[1].reference).toEqual({ pixels: reference, strength: 0.6 });
  });

  it('should store nothing when the caller left while the picture was made', async () => {
    const leaving = new AbortController();
    pipeline.work = () => Promise.resolve(leaving.abort(new Error('left')));
    await expect(runner.run(job, { signal: leaving.signal })).rejects.toThrow('left');
    expect(storage.keys).toEqual([]);
  });
});
