import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Embedding } from '@app/models';
import { EngineFailure } from './engine.errors';
import { fileStamp } from '../models/file.hash';
import { wordOf } from './embedding.words';
import { EngineLease, type Lender } from './engine.lease';
import type { EngineProcess } from './engine.process';
import type { GenerateRequest } from './pipeline.types';

describe(EngineLease.name, () => {
  let embeddings: Embedding[] = [];
  afterEach(() => (embeddings = []));

  const drawn = { loras: [], textChunks: [1, 1] };
  const lease = (generate: jest.Mock, mergedAnew = false) => {
    const memory = { watch: () => () => false, decodesInTiles: () => false };
    const lender = {
      config: { PHASE_TIMEOUT: 600 },
      embeddings,
      ...{ memory, stopping: new AbortController().signal, hasMerged: () => !mergedAnew },
      ...{ free: () => {}, drew: () => {} },
    };
    return new EngineLease(0, { generate } as unknown as EngineProcess, lender as unknown as Lender);
  };
  const request = (paths: readonly string[], options: Partial<GenerateRequest> = {}) =>
    ({
      ...{ prompt: 'a fox', negativePrompt: '', guidanceScale: 5, ...options },
      loras: paths.map((path) => ({ name: path, path })),
    }) as unknown as GenerateRequest;

  it('should name the LoRAs that a flat picture was drawn with', async () => {
    const sentence = 'The picture is flat: every pixel has the same colour';
    const flat = jest.fn().mockRejectedValue(new EngineFailure('flat_picture', sentence));
    const refusal = (names: readonly string[]) =>
      lease(flat)
        .generate(request(names))
        .catch((error: Error) => error);
    expect(await refusal([])).toMatchObject({ code: 'generation_failed', message: `${sentence}.` });
    expect(await refusal(['one', 'two'])).toMatchObject({
      code: 'generation_failed',
      message: `${sentence}. That may come of a LoRA: "one", "two".`,
    });
  });

  it('should give the engine time for what it reads first: its LoRAs, or the model', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lease-'));
    try {
      const generate = jest.fn().mockResolvedValue(drawn);
      const reads = async (paths: readonly string[], mergedAnew = false, model?: string) => {
        const control = model === undefined ? undefined : { model, pixels: Buffer.alloc(0), strength: 1 };
        await lease(generate, mergedAnew)
          .generate(request(paths, { control }))
          .catch(() => {});
        return (generate.mock.lastCall as [unknown, { reads: number }])[1].reads;
      };
      const [large, small] = ['large', 'small'].map((name) => join(folder, name));
      for (const file of [large, small]) await writeFile(file, '');
      await truncate(large, 2_000_000_000);
      await truncate(small, 50_000);
      expect(await reads([])).toBe(0);
      expect(await reads([large, small])).toBe(200_005);
      expect(await reads([join(folder, 'none')])).toBe(0);
      expect(await reads([small], false, large)).toBe(200_005);
      expect(await reads([small], true)).toBe(600_000);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  describe('what the engine is asked for', () => {
    const asked = async (options: Partial<GenerateRequest>) => {
      const generate = jest.fn().mockResolvedValue(drawn);
      const { warnings } = await lease(generate).generate(request([], options));
      return { ...(generate.mock.lastCall as [GenerateRequest])[0], warnings };
    };

    it.each([
      [0, 1],
      [0.99, 1],
      [1, 1],
      [1.01, 1.01],
      [30, 30],
    ])('should be the prompt alone where nothing is guided: guidance %d as %d', async (given, told) =>
      expect(await asked({ guidanceScale: given })).toMatchObject({ guidanceScale: told }),
    );

    it('should be both prompts with weights that it survives, and the picture tells', async () => {
      const { prompt, negativePrompt, warnings } = await asked({
        prompt: 'a (red:.) fox',
        negativePrompt: '(blurry:99)',
      });
      expect([prompt, negativePrompt]).toEqual(['a (red:. ) fox', '(blurry:10)']);
      expect(warnings).toEqual([expect.stringContaining('from -10 to 10')]);
    });

    it('should be embeddings by words of their own, and none whose file changed', async () => {
      embeddings = [{ name: 'night', path: __filename, vectors: 1, sha256: '', stamp: 'of then' }];
      const refusal = asked({ negativePrompt: 'Night' });
      await expect(refusal).rejects.toMatchObject({ code: 'storage_unavailable', param: 'prompt' });
      const stamp = fileStamp(await stat(__filename, { bigint: true }));
      embeddings = [{ ...embeddings[0], stamp }];
      expect(await asked({ prompt: 'a (night:2)', negativePrompt: 'embedding:fog' })).toMatchObject({
        ...{ prompt: `a (${wordOf(0)}:2)`, negativePrompt: 'embedding:fog' },
        warnings: [expect.stringContaining('no embedding "fog"') as string],
      });
    });

    it('should be told in how many chunks the engine read it, where that is more than one', async () => {
      const told = async (textChunks: readonly number[]) =>
        (await lease(jest.fn().mockResolvedValue({ ...drawn, textChunks })).generate(request([]))).warnings;
      expect(await told([])).toEqual([]);
      expect(await told([1, 1])).toEqual([]);
      expect(await told([27])).toEqual([expect.stringMatching(/^The prompt was read in 27 chunks/)]);
      expect(await told([1, 2])).toEqual([
        expect.stringMatching(/^The negative prompt was read in 2 chunks/),
      ]);
      expect(await told([2, 3])).toHaveLength(2);
    });

    it('should be a picture whose kept part comes back as it was', async () => {
      const pixels = Buffer.from([1, 1, 1, 2, 2, 2]);
      const generate = jest.fn().mockResolvedValue({ ...drawn, pixels });
      const image = { pixels: Buffer.from([9, 9, 9, 8, 8, 8]), strength: 1 };
      const edit = request([], { image, mask: Buffer.from([255, 0]) });
      expect([...(await lease(generate).generate(edit)).pixels]).toEqual([1, 1, 1, 8, 8, 8]);
      expect((generate.mock.lastCall as [GenerateRequest])[0]).toMatchObject({ image });
    });

    it('should leave a LoRA that is a tag in the prompt, and the picture names the field', async () => {
      const prompt = 'a fox <lora:night:1>';
      expect(await asked({ prompt })).toMatchObject({
        prompt,
        warnings: [expect.stringContaining('the field loras') as string],
      });
      expect((await asked({ prompt: 'a fox' })).warnings).toEqual([]);
    });
  });
});
