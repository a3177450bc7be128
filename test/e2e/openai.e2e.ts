import OpenAI from 'openai';
import sharp from 'sharp';
import { temporaryFolder } from '../support/demo';
import { key } from '../support/keys';
import { FEW_PICTURES, Service } from '../support/service';

const ada = key('ada', ['draw', 'read']);
/** Fields of this service, which make a picture cheap. */
const CHEAP = { seed: 42, num_inference_steps: 8, guidance_scale: 1 } as object;

describe("OpenAI's clients", () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;
  let client: OpenAI;

  beforeAll(async () => {
    const API_KEYS = JSON.stringify([ada.entry]);
    service = await Service.startReady({ ...FEW_PICTURES, DATA_DIR, API_KEYS });
    client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: ada.secret });
  });
  afterAll(() => service?.stop('SIGKILL'));

  it('should have the same image drawn as a link and as bytes, under two names of the model', async () => {
    const request = { prompt: 'a fox', size: '64x64', ...CHEAP } as const;
    const linked = await client.images.generate({ ...request, model: 'dall-e-3' });
    const inline = await client.images.generate({ ...request, model: 'gpt-image-1' });
    const link = await fetch(linked.data![0].url!);
    const bytes = Buffer.from(await link.arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(inline.data![0].b64_json).toBe(bytes.toString('base64'));
    expect(inline.size).toBe('64x64');
  });

  it('should stream partial images, and then the same image', async () => {
    const request = { prompt: 'a fox', size: '64x64', ...CHEAP } as const;
    const stream = await client.images.generate({ ...request, stream: true, partial_images: 2 });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.map(({ type }) => type)).toEqual([
      ...['image_generation.partial_image', 'image_generation.partial_image'],
      'image_generation.completed',
    ]);
    expect(new Set(events.map(({ b64_json }) => b64_json)).size).toBe(3);
    const { data } = await client.images.generate({ ...request, response_format: 'b64_json' });
    expect(events.at(-1)!.b64_json).toBe(data![0].b64_json);
  });

  it('should name the model', async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(['demo', 'gpt-image-1']));
  });
});
