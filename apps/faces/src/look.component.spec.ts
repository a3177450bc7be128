import sharp from 'sharp';
import { ASTRONAUT } from '../../../test/support/face.pictures';
import { openHuman, type Human, type HumanFace } from './human';
import { look } from './look';

describe(look.name, () => {
  const { fetch } = globalThis;
  afterAll(() => (globalThis.fetch = fetch));

  it('should leave no descriptor in the detector, which keeps what it saw last', async () => {
    const human = (await openHuman()) as Human & { readonly result: { readonly face: readonly HumanFace[] } };
    const pixels = await sharp(ASTRONAUT).removeAlpha().raw().toBuffer();
    const [face] = await look(human, { pixels, width: 512, height: 512, describe: true });
    expect(face.descriptor!.filter((one) => one !== 0).length).toBeGreaterThan(500);
    const kept = human.result.face[0].embedding!;
    expect(kept).toHaveLength(1024);
    expect(kept.every((one) => one === 0)).toBe(true);
  });
});
