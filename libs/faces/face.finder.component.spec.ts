import { Logger } from '@nestjs/common';
import sharp from 'sharp';
import { aroundFace, toOverview, type Region } from '@app/pictures';
import { ASTRONAUT, drawings, emoji, hardCases, UnbuiltFaceProcess } from '../../test/support/face.pictures';
import { FaceFinder, type Face } from './face.finder';

const ME = { caller: 'me' };
const centre = ({ x, y, width, height }: Region) => ({ x: x + width / 2, y: y + height / 2 });
/** The share of a box that is inside another. */
const inside = (box: Region, { x, y, width, height }: Region) =>
  (Math.max(0, Math.min(box.x + box.width, x + width) - Math.max(box.x, x)) *
    Math.max(0, Math.min(box.y + box.height, y + height) - Math.max(box.y, y))) /
  (box.width * box.height);

describe(FaceFinder.name, () => {
  let finder: FaceFinder;
  const find = async (picture: Buffer) => finder.find(await toOverview(picture), ME);

  beforeAll(() => {
    Logger.overrideLogger(false);
    finder = new FaceFinder(new UnbuiltFaceProcess());
  });
  afterAll(() => finder.onApplicationShutdown());

  it('should find the face in photos that are not easy, and show all of it', async () => {
    const table: Record<string, { off: number; old: number; new: number }> = {};
    for (const { name, picture, face } of await hardCases()) {
      const overview = await toOverview(picture);
      const [largest] = (await finder.find(overview, ME)) as [Face];
      const scale = overview.own.width / overview.width;
      const found = {
        ...{ x: largest.x * scale, y: largest.y * scale },
        ...{ width: largest.width * scale, height: largest.height * scale },
      };
      const crop = aroundFace(found, overview.own, 'shoulders');
      const { width, height } = overview.own;
      expect([name, inside(crop, { x: 0, y: 0, width, height })]).toEqual([name, 1]);
      const [is, should] = [centre(crop), centre(face)];
      const side = Math.min(width, height);
      const middle = { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side };
      table[name] = {
        off: Math.hypot(is.x - should.x, is.y - should.y) / Math.max(face.width, face.height),
        old: inside(face, middle),
        new: inside(face, crop),
      };
    }
    const rows = Object.entries(table);
    expect(rows.filter(([, { new: share }]) => share < 0.99)).toEqual([]);
    // The square around a face at the border moves inside.
    const off = rows.filter(([, row]) => row.off > 0.1).map(([name]) => name);
    expect(off).toEqual(['cut at the left border', 'cut at the top border']);
    // Else the cases would prove nothing.
    expect(rows.filter(([, row]) => row.old < 0.5).length).toBeGreaterThan(4);
  });

  it('should tell the largest first, how they are turned, and which are sharp', async () => {
    const cases = new Map((await hardCases()).map(({ name, picture }) => [name, picture]));
    const [turned] = (await find(cases.get('upside down')!))!;
    expect(Math.abs(turned.roll)).toBeGreaterThan(165);
    const [tilted] = (await find(cases.get('turned by 30 degrees')!))!;
    expect(tilted.roll).toBeGreaterThan(20);
    expect(tilted.roll).toBeLessThan(40);
    const [blurred] = (await find(cases.get('blurred')!))!;
    const [sharp] = (await find(ASTRONAUT))!;
    expect([blurred.sharpness < 1.5, sharp.sharpness > 3]).toEqual([true, true]);
    const both = (await find(await groupOf(cases.get('60 pixels wide in a corner')!)))!;
    expect(both.map(({ width }) => width > 80)).toEqual([true, false]);
  });

  it('should find none in emoji and drawings', async () => {
    for (const drawing of [...(await emoji()), ...(await drawings())]) {
      expect(await find(drawing)).toEqual([]);
    }
  }, 180_000); // sixty of them
});

/** Beside the astronaut another picture of her. */
async function groupOf(small: Buffer): Promise<Buffer> {
  const input = await sharp(small).extract({ left: 600, top: 600, width: 400, height: 400 }).toBuffer();
  const create = { width: 1000, height: 600, channels: 3, background: '#444444' } as const;
  const layers = [
    { input, left: 560, top: 100 },
    { input: ASTRONAUT, left: 0, top: 0 },
  ];
  return sharp({ create }).composite(layers).png().toBuffer();
}
