import { join } from 'node:path';
import { onLog, Session, type GenerateOptions } from '#native';
import { demoModel, temporaryFolder } from '../support/demo';
import { writeAdapter } from '../support/ip.adapter';

const SMALL: GenerateOptions = {
  ...{ prompt: '', width: 64, height: 64, steps: 1, guidanceScale: 1, seed: 7 },
};
/** Whoever it shows: it does not matter to weights that mean nothing. */
const picture = (factor: number) =>
  Buffer.from(Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * factor) % 251));

/** Plus-Face has the same tensors in other values. */
describe('The addon: IP-Adapter Plus', () => {
  const folder = temporaryFolder();
  let session: Session;
  const draw = async (of?: Buffer) => {
    const reference = of && { pixels: of, strength: 1 };
    return (await session.generate({ ...SMALL, reference })).pixels.toString('latin1');
  };

  beforeAll(async () => {
    const { checkpoint: model, clipVision, ipAdapter: demos } = await demoModel();
    const ipAdapter = join(folder, 'plus.safetensors');
    await writeAdapter(ipAdapter, demos);
    session = await Session.load({
      ...{ model, clipVision, ipAdapter },
      ...{ textEncoderType: 'q8_0', imageEncoderType: 'q8_0' },
    });
  }, 120_000);
  afterAll(() => session.close());

  it('should draw by a picture, another by another, and the same again', async () => {
    const told: string[] = [];
    onLog((_level, line) => told.push(line), 'info');
    const plain = await draw();
    const one = await draw(picture(3));
    onLog(undefined);
    expect(told.join('\n')).toContain('IP-Adapter: 16 image tokens, strength 1.00');
    expect(new Set([plain, one, await draw(picture(101))]).size).toBe(3);
    expect((await draw(picture(3))) === one).toBe(true);
  }, 120_000);
});
