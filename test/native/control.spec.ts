import { join } from 'node:path';
import { Session, type Control, type GenerateOptions } from '#native';
import { demoModel, temporaryFolder } from '../support/demo';
import { writeControlNet, writeWideModel } from '../support/control.net';

const SIDE = 64;
const SMALL: GenerateOptions = {
  ...{ prompt: '', width: SIDE, height: SIDE },
  ...{ steps: 1, guidanceScale: 1, seed: 7 },
};

/** A white square on black, which is of plain colours: its edges are something else. */
const square = Buffer.from(
  Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
    return x > 16 && x < 48 && y > 16 && y < 48 ? 255 : 0;
  }),
);

describe('The addon: ControlNet', () => {
  const folder = temporaryFolder();
  const [model, first, second] = ['model', 'first', 'second'].map((name) =>
    join(folder, `${name}.safetensors`),
  );
  let session: Session;

  const draw = async (options: Partial<Control>) => {
    const control = { model: first, pixels: square, strength: 1, ...options };
    return (await session.generate({ ...SMALL, control })).pixels.toString('latin1');
  };
  beforeAll(async () => {
    await writeWideModel(model, (await demoModel()).checkpoint);
    await writeControlNet(first, 1);
    await writeControlNet(second, 2);
    session = await Session.load({ model, textEncoderType: 'q8_0' });
  }, 120_000);
  afterAll(() => session.close());

  // Both ControlNets are random, so pictures differ only if each does its part.
  it('should guide a picture, in turn with others, always alike', async () => {
    const guided = await draw({});
    const others = [await draw({ canny: true }), await draw({ model: second })];
    expect(new Set([guided, ...others]).size).toBe(3);
    expect((await draw({})) === guided).toBe(true);
  });
});
