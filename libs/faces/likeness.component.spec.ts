import { Logger } from '@nestjs/common';
import sharp, { type Sharp } from 'sharp';
import { ASTRONAUT, emoji, strangers, UnbuiltFaceProcess } from '../../test/support/face.pictures';
import { FaceFinder } from './face.finder';
import type { Descriptor } from './face.protocol';
import { likeness } from './likeness';

const ME = { caller: 'me' };
const astronaut = () => sharp(ASTRONAUT);

describe(likeness.name, () => {
  let finder: FaceFinder;
  const describeFace = async (picture: Sharp) => {
    const { data, info } = await picture
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return finder.describe({ pixels: data, width: info.width, height: info.height }, ME);
  };

  beforeAll(() => {
    Logger.overrideLogger(false);
    finder = new FaceFinder(new UnbuiltFaceProcess());
  });
  afterAll(() => finder.onApplicationShutdown());

  it('should be large for a person in two pictures, small for two persons, and nothing without a face', async () => {
    const crop = { left: 80, top: 0, width: 300, height: 300 };
    // As a job keeps it.
    const reference = (await describeFace(astronaut().extract(crop).resize(224)))!;
    const to = async (picture: Sharp) => likeness(reference, (await describeFace(picture)) as Descriptor);
    const same = {
      'the whole photo': astronaut(),
      'the face alone': astronaut().extract({ left: 140, top: 30, width: 190, height: 190 }).resize(512),
      mirrored: astronaut().flop(),
      'tilted by 20 degrees': astronaut().rotate(20, { background: '#888888' }),
      'at half the light': astronaut().linear(0.5, 0),
      greyscale: sharp(await astronaut().greyscale().png().toBuffer()),
      'as a JPEG of quality 30': sharp(await astronaut().removeAlpha().jpeg({ quality: 30 }).toBuffer()),
      'upside down': astronaut().rotate(180),
    };
    const table: Record<string, number> = {};
    for (const [name, picture] of Object.entries(same)) table[name] = await to(picture);
    const others: number[] = [];
    for (const stranger of await strangers()) others.push(await to(sharp(stranger)));
    expect(Object.entries(table).filter(([, value]) => value < 0.8)).toEqual([]);
    expect(others.every((value) => value > 0 && value < 0.5)).toBe(true);
    expect(await describeFace(sharp((await emoji())[0]))).toBeNull();
  }, 60_000);

  it('should leave out the descriptor where nobody asked for it, also after somebody did', async () => {
    const [face] = (await finder.find(await pixels(), ME))!;
    expect(Object.keys(face)).not.toContain('descriptor');
  });

  const pixels = async () => ({
    pixels: await astronaut().removeAlpha().raw().toBuffer(),
    ...{ width: 512, height: 512 },
  });
});
