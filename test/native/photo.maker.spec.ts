import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onLog, Session, type GenerateOptions, type LoadOptions } from '#native';
import { demoModel } from '../support/demo';
import { writePhotoMaker } from '../support/photo.maker';

const SMALL: GenerateOptions = {
  ...{ prompt: 'a fox on blue', width: 64, height: 64, steps: 1, guidanceScale: 1, seed: 7 },
};
/** Milliseconds: the person's encoder alone is larger than all of the demo. */
const PATIENCE = 400_000;
const TRIGGERED = 'a fox img on blue';
/** Somebody: what they look like does not matter to weights that mean nothing. */
const person = (factor: number) =>
  Buffer.from(Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * factor) % 251));
const [ann, bob] = [person(3), person(101)];

describe('The addon: PhotoMaker', () => {
  // Not by mkdtemp, whose letters may be "v2": the engine reads that as a version.
  const folder = join(tmpdir(), `photo-maker-${process.pid}`);
  const path = join(folder, 'photomaker.safetensors');
  let model: string;
  let session: Session;
  const types = { textEncoderType: 'q8_0', imageEncoderType: 'q8_0' } as const;
  const load = (options: Partial<LoadOptions> = {}) => Session.load({ model, ...types, ...options });
  const draw = (options: Partial<GenerateOptions> = {}) => session.generate({ ...SMALL, ...options });
  const by = async (picture: Buffer) =>
    (await draw({ prompt: TRIGGERED, identity: { pictures: [picture], strength: 1 } })).pixels;
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => 'a picture',
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );

  beforeAll(async () => {
    mkdirSync(folder);
    model = (await demoModel()).checkpoint;
    await writePhotoMaker(path);
    session = await load({ photoMaker: path });
  }, PATIENCE);
  afterAll(() => {
    session.close();
    rmSync(folder, { recursive: true });
  });

  it(
    'should draw by the picture of a person, another by that of another, and the same again',
    async () => {
      expect(session.hasPhotoMaker).toBe(true);
      const { pixels: plain } = await draw();
      const one = await by(ann);
      expect(one.equals(plain)).toBe(false);
      expect((await by(bob)).equals(one)).toBe(false);
      expect((await by(ann)).equals(one)).toBe(true);
    },
    PATIENCE,
  );

  // Of ten steps the last three are taken, or one: by a method that numbers the last step as if it were before the first.
  it.each<Partial<GenerateOptions>>([
    { steps: 10, image: { pixels: Buffer.alloc(64 * 64 * 3, 90), strength: 0.2 } },
    { steps: 10, image: { pixels: Buffer.alloc(64 * 64 * 3, 90), strength: 0 }, sampler: 'heun' },
  ])(
    'should heed the person also where few steps are taken: %#',
    async (short) => {
      const by = async (picture: Buffer) =>
        (await draw({ ...short, prompt: TRIGGERED, identity: { pictures: [picture], strength: 0.3 } }))
          .pixels;
      expect((await by(ann)).equals(await by(bob))).toBe(false);
    },
    PATIENCE,
  );

  it(
    'should say that the picture was not used, and why, where the prompt does not name the person',
    async () => {
      const warned: string[] = [];
      onLog((_level, line) => warned.push(line), 'warn');
      expect(await failure(draw({ identity: { pictures: [ann], strength: 1 } }))).toBe(
        "photo_maker_not_applied: The engine did not use the pictures of the person: PhotoMaker trigger word 'img' was not found in prompt",
      );
      onLog(undefined);
      expect(warned.join()).not.toContain('Turn off PhotoMaker');
    },
    PATIENCE,
  );

  it.each<[object, string]>([
    [{ pictures: [], strength: 1 }, 'Expected 1 to 8 pictures for identity.pictures but received 0 entries'],
    [
      { pictures: Array(9).fill(ann), strength: 1 },
      'Expected 1 to 8 pictures for identity.pictures but received 9',
    ],
    [{ pictures: [ann, Buffer.alloc(3)], strength: 1 }, 'for identity.pictures.1 but received 3 bytes'],
    [{ pictures: [ann], strength: 2 }, 'Expected a number from 0 to 1 for strength but received 2'],
  ])('should refuse the identity %#', async (identity, message) =>
    expect(await failure(draw({ identity } as GenerateOptions))).toContain(message),
  );

  it(
    'should not load a part of it, nor what is none',
    async () => {
      const lacking = join(folder, 'lacking.safetensors');
      await writePhotoMaker(lacking, { without: /mlp2\.fc1\.weight/ });
      expect(await failure(load({ photoMaker: lacking }))).toMatch(
        /^load_failed: .*fuse_module\.mlp2\.fc1\.weight/,
      );
      const none = join(folder, 'none.safetensors');
      writeFileSync(none, 'no model at all');
      expect(await failure(load({ photoMaker: none }))).toMatch(
        /^load_failed: The engine could not load PhotoMaker: /,
      );
      expect(await failure(load({ photoMaker: join(folder, 'nowhere') }))).toMatch(
        /^load_failed: .* for photoMaker but/,
      );
    },
    PATIENCE,
  );
});
