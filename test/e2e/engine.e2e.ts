import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineProcess } from '../../libs/pipeline/engine.process';
import { PhaseBounds } from '../../libs/pipeline/phase.bounds';
import type { Preview } from '../../libs/pipeline/pipeline.types';
import { demoModel } from '../support/demo';

const MAIN = join(__dirname, '../../dist/apps/engine/src/main.js');
const SMALL = { prompt: '', width: 64, height: 64, steps: 1, guidanceScale: 1, seed: 7 };

describe('The engine process', () => {
  let engine: EngineProcess;

  beforeAll(async () => {
    const { checkpoint: model } = await demoModel();
    engine = new EngineProcess({}, new PhaseBounds(600_000), {}, MAIN);
    const options = { model, textEncoderType: 'q8_0' } as const;
    await engine.open({ requireGpu: false });
    const info = await engine.load({ options, sharers: 2 });
    expect(info.hasIpAdapter).toBe(false);
  }, 120_000);
  afterAll(async () => {
    engine.kill();
    await engine.exited();
  });

  it('should tell how long it rested, and take the next picture before the pixels of the last have come', async () => {
    let second: ReturnType<EngineProcess['generate']> | undefined;
    const onDrawn = () => {
      second = engine.generate(SMALL);
    };
    const first = await engine.generate(SMALL, { onDrawn });
    expect(first.idle).toBeUndefined();
    expect((await second!).idle).toBeLessThan(500);
    await sleep(500);
    expect((await engine.generate(SMALL)).idle).toBeGreaterThan(495);
  });

  it('should begin previews while it draws, and stop', async () => {
    const previews: Preview[] = [];
    const aborter = new AbortController();
    let step = 0;
    const picture = engine.generate(
      { ...SMALL, steps: 150 },
      {
        signal: aborter.signal,
        onProgress: (progress) => (step = progress.step),
        previewsWanted: () => Promise.resolve(step >= 2),
        onPreview: (preview) => {
          previews.push(preview);
          aborter.abort();
        },
      },
    );
    await expect(picture).rejects.toMatchObject({ code: 'cancelled' });
    expect(previews[0]).toMatchObject({ width: 8, height: 8 });
    expect(previews[0].pixels).toHaveLength(8 * 8 * 3);
    expect(previews[0].step).toBeGreaterThan(2);
    expect(previews[0].step).toBeLessThan(150);
  });
});
