import OpenAI, { toFile } from 'openai';
import sharp from 'sharp';
import { temporaryFolder } from '../support/demo';
import { FEW_PICTURES, Service } from '../support/service';

/** Fields of this service, which make a picture cheap. */
const CHEAP = { seed: 42, num_inference_steps: 4, guidance_scale: 1 } as object;
const SIDE = 64;

const picture = (width: number, background: string) =>
  sharp({ create: { width, height: SIDE, channels: 4, background } })
    .png()
    .toBuffer();
const pixelsOf = (b64: string) => sharp(Buffer.from(b64, 'base64')).removeAlpha().raw().toBuffer();

describe("Edits by OpenAI's clients", () => {
  const folder = temporaryFolder();
  let service: Service;
  let client: OpenAI;
  let green: Buffer;
  /** Its left half is transparent. */
  let mask: Buffer;

  beforeAll(async () => {
    green = await picture(SIDE, '#20c040');
    mask = await sharp(await picture(SIDE, '#00000000'))
      .composite([{ input: await picture(SIDE / 2, 'black'), left: SIDE / 2, top: 0 }])
      .png()
      .toBuffer();
    service = await Service.startReady({ ...FEW_PICTURES, DATA_DIR: folder });
    client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'none' });
  });
  afterAll(() => service?.stop('SIGKILL'));

  const request = async () => ({
    ...{ image: await toFile(green, 'a.png'), mask: await toFile(mask, 'b.png'), prompt: 'a fox' },
    ...{ size: '64x64', model: 'gpt-image-1', ...CHEAP },
  });

  it('should paint what the mask says anew, and keep the rest to the bit', async () => {
    const { data } = await client.images.edit(await request());
    const [made, start] = [await pixelsOf(data![0].b64_json!), await pixelsOf(green.toString('base64'))];
    const halves = { left: 0, right: 0 };
    for (let at = 0; at < start.length; at++)
      if (made[at] !== start[at]) halves[Math.floor(at / 3) % SIDE < SIDE / 2 ? 'left' : 'right']++;
    expect(halves.right).toBe(0);
    expect(halves.left).toBeGreaterThan(start.length / 8);
  });
});
