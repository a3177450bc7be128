import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { backEnds, devices, engineVersion, onLog, Session, type LoadOptions } from '#native';
import type { DemoFiles } from '../../libs/models/demo';
import { demoModel, temporaryFolder } from '../support/demo';
import { partOf } from '../support/safetensors';

const PINNED_COMMIT = /PINNED_ENGINE_COMMIT "(\w+)"/.exec(
  readFileSync(join(__dirname, '../../native/engine/stable-diffusion.h'), 'utf8'),
)![1];

describe('The addon: loading', () => {
  const folder = temporaryFolder();
  let files: DemoFiles;
  beforeAll(async () => {
    files = await demoModel();
  }, 60_000);

  it('should list the devices that the engine sees, a CPU among them', () => {
    expect(devices()).toContainEqual({ name: 'CPU', description: expect.any(String) as string, gpu: false });
  });

  it('should say which engine it runs', () => {
    const { source, commit, version, system } = engineVersion();
    expect(source).toMatch(/^prebuilt |^SD_CPP_ROOT$/);
    expect(commit).toMatch(/^[0-9a-f]{7,}$/);
    expect(version).toContain(commit);
    expect(system).toContain('AVX');
  });

  it('should have what the pinned engine for CPUs has: no back end that is a library of its own', () => {
    if (engineVersion().source !== 'prebuilt cpu') return; // the GPUs' engines have suites of their own
    expect(backEnds()).toEqual([]);
    expect(engineVersion().commit).toBe(PINNED_COMMIT);
  });

  it.each<[string, unknown]>([
    ['Expected an object for options but received nothing', undefined],
    ['Expected an object for options but received 3', 3],
    ['Expected a string of at most 4096 characters without NUL for model but received nothing', {}],
    ['Expected a path for model but received ""', { model: '' }],
    ['for model but received a string with a NUL', { model: 'a\0b' }],
    ['Expected a whole number from 1 to 256 for threads but received 0', { model: 'm', threads: 0 }],
    ['Expected true or false for flashAttention but received "yes"', { model: 'm', flashAttention: 'yes' }],
    ['for imageEncoderType but received "q4_0"', { model: 'm', imageEncoderType: 'q4_0' }],
    ['Expected one of runtime, merged for loraMode but received "both"', { model: 'm', loraMode: 'both' }],
    [
      "Expected the IP-Adapter's image encoder for clipVision but received nothing",
      { model: 'm', ipAdapter: 'a' },
    ],
  ])('should refuse wrong options: %s', async (message, options) => {
    const refused = Session.load(options as LoadOptions);
    await expect(refused).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('should tell that a file is missing', async () => {
    await expect(Session.load({ model: '/nowhere/model.safetensors' })).rejects.toMatchObject({
      code: 'load_failed',
      message: 'Expected a readable file for model but it cannot be opened',
    });
  });

  it('should reject a truncated model with the reason of the engine, and load the whole one afterwards', async () => {
    const cut = join(folder, 'cut.safetensors');
    copyFileSync(files.ipAdapter, cut);
    truncateSync(cut, 1_000_000);
    await expect(Session.load({ model: cut })).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/could not load the model: .+/) as string,
    });
    (await Session.load({ model: files.checkpoint })).close();
  });

  it('should reject a file that is no model', async () => {
    const text = join(folder, 'text.safetensors');
    const file = openSync(text, 'w');
    writeSync(file, 'not a model at all, only words');
    closeSync(file);
    await expect(Session.load({ model: text })).rejects.toMatchObject({ code: 'load_failed' });
  });

  it('should keep the event loop turning while it loads, and tell the progress', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const percents: number[] = [];
    const { checkpoint: model, ipAdapter, clipVision } = files;
    const session = await Session.load({ model, ipAdapter, clipVision }, (percent) => percents.push(percent));
    clearInterval(timer);
    expect(session.hasIpAdapter).toBe(true);
    expect(turns).toBeGreaterThan(5);
    expect(percents).toContain(100);
    expect(percents.every((percent) => percent >= 0 && percent <= 100)).toBe(true);
    session.close();
    expect(session.hasIpAdapter).toBe(false);
  });

  it('should load one thing at a time', async () => {
    const first = Session.load({ model: files.checkpoint });
    await expect(Session.load({ model: files.checkpoint })).rejects.toMatchObject({ code: 'engine_busy' });
    (await first).close();
  });

  it('should pass on nothing below the level that is asked for', async () => {
    const levels: string[] = [];
    const of = async (model: string) => {
      levels.length = 0;
      await Session.load({ model }).then(
        (session) => session.close(),
        () => {},
      );
      await new Promise(setImmediate);
      return [...new Set(levels)].sort();
    };
    const [whole, none] = [files.checkpoint, join(folder, 'none.safetensors')];
    writeFileSync(none, 'no weights');
    onLog((level) => levels.push(level), 'warn');
    expect(await of(none)).toContain('error');
    expect(await of(whole)).not.toContain('info');
    expect(levels).not.toContain('debug');
    onLog((level) => levels.push(level), 'info');
    expect(await of(whole)).toContain('info');
    expect(levels).not.toContain('debug');
    expect(() => onLog(() => {}, 'loud' as 'warn')).toThrow(
      'Expected one of debug, info, warn, error for least',
    );
    onLog(undefined);
  });

  it('should pass on what the engine logs, until told otherwise', async () => {
    const lines: string[] = [];
    onLog((level, line) => lines.push(`${level}: ${line}`));
    (await Session.load({ model: files.checkpoint })).close();
    await new Promise(setImmediate);
    onLog(undefined);
    expect(lines).toContainEqual(expect.stringMatching(/^info: loading model from/));
    const count = lines.length;
    (await Session.load({ model: files.checkpoint })).close();
    await new Promise(setImmediate);
    expect(lines).toHaveLength(count);
  });

  it('should not load on a device that is not there', async () => {
    await expect(Session.load({ model: files.checkpoint, device: 'CUDA7' })).rejects.toMatchObject({
      code: 'load_failed',
    });
  });

  it('should not be constructed by hand', () => {
    const construct = Session as unknown as new () => Session;
    expect(() => new construct()).toThrow('Expected Session.load()');
  });

  it('should decode with a VAE in a file of its own as with the same one of the checkpoint', async () => {
    const vae = join(folder, 'vae.safetensors');
    writeFileSync(vae, partOf(readFileSync(files.checkpoint), 'first_stage_model.'));
    const draw = async (options: Partial<LoadOptions>) => {
      const session = await Session.load({ model: files.checkpoint, textEncoderType: 'q8_0', ...options });
      const picture = { prompt: 'a fox', width: 64, height: 64, steps: 1, guidanceScale: 4, seed: 7 };
      return (await session.generate(picture)).pixels;
    };
    // Without scaled convolutions numbers are rounded otherwise, and a published VAE overflows.
    expect((await draw({ vae })).equals(await draw({}))).toBe(true);
  });
});
