import { InferenceClient } from '@huggingface/inference';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { NIGHT_LORA, temporaryFolder } from '../support/demo';
import { key } from '../support/keys';
import { python } from '../support/python';
import { FEW_PICTURES, Service } from '../support/service';

const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
/** The cheapest picture. */
const SMALL = { width: 64, height: 64, steps: 1, cfg_scale: 1, seed: 7 };

describe("Other services' clients", () => {
  const folder = temporaryFolder();
  const ann = key('ann', ['draw', 'read']);
  const authorization = `Basic ${Buffer.from(`ann:${ann.secret}`).toString('base64')}`;
  let service: Service;

  beforeAll(async () => {
    copyFileSync(NIGHT_LORA, join(folder, 'night.safetensors'));
    service = await Service.startReady({
      ...{ DATA_DIR: folder, LORA_DIR: folder, API_KEYS: JSON.stringify([ann.entry]) },
      ...FEW_PICTURES,
    });
  });
  afterAll(() => service?.stop('SIGKILL'));

  it("should have pictures drawn by AUTOMATIC1111's routes, LoRAs in prompts among them", async () => {
    const draw = async (body: object) => {
      const reply = await service.post('/sdapi/v1/txt2img', { ...SMALL, ...body }, undefined, {
        authorization,
      });
      const { images, info } = (await reply.json()) as { images: string[]; info: string };
      return {
        pictures: images.map((image) => Buffer.from(image, 'base64')),
        info: JSON.parse(info) as object,
      };
    };
    const plain = await draw({ prompt: 'a fox on blue', batch_size: 2 });
    expect(plain.info).toMatchObject({ all_seeds: [7, 8], width: 64, height: 64 });
    const night = await draw({ prompt: 'a fox on blue <lora:night:1>' });
    expect(plain.pictures).toHaveLength(2);
    for (const picture of [...plain.pictures, ...night.pictures])
      expect(await sharp(picture).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(plain.pictures[0].equals(plain.pictures[1])).toBe(false);
    expect(plain.pictures[0].equals(night.pictures[0])).toBe(false);
  });

  it("should draw for Hugging Face's InferenceClient in JavaScript, and tell it what is wrong", async () => {
    const client = new InferenceClient(ann.secret, { endpointUrl: service.url });
    const cheap = { num_inference_steps: 1, guidance_scale: 1, seed: 7 };
    const toImage = (width: number, height: number) =>
      client.textToImage(
        { inputs: 'a fox', parameters: { ...cheap, width, height } },
        { outputType: 'blob' },
      );
    const inputs = new Blob([readFileSync(PANDA)]);
    const parameters = { prompt: 'a fox', ...cheap, target_size: { width: 64, height: 64 } };
    for (const picture of [await toImage(64, 128), await client.imageToImage({ inputs, parameters })]) {
      expect(picture.type).toBe('image/png');
      expect(await sharp(await picture.arrayBuffer()).metadata()).toMatchObject({ format: 'png', width: 64 });
    }
    await expect(toImage(100, 100)).rejects.toMatchObject({ httpResponse: { status: 400 } });
  });

  it("should draw for Hugging Face's InferenceClient in Python, and tell it what is wrong", async () => {
    const client = await python(folder, 'huggingface_hub==2.4.0', 'pillow==13.0.0');
    const script = `
import json, sys
from huggingface_hub import InferenceClient
client = InferenceClient(sys.argv[1], token=sys.argv[2])
picture = client.text_to_image("a fox", width=64, height=64, num_inference_steps=1, guidance_scale=1, seed=7)
edited = client.image_to_image(open(sys.argv[3], "rb").read(), prompt="a fox",
    num_inference_steps=1, guidance_scale=1, target_size={"width": 64, "height": 64})
try:
    client.text_to_image("a fox", width=100, height=100)
except Exception as error:
    refusal = f"{error.response.status_code} {error}"
print(json.dumps({"size": picture.size, "edited": edited.size, "mode": picture.mode, "refusal": refusal}))
`;
    expect(JSON.parse(await client(script, service.url, ann.secret, PANDA))).toEqual({
      ...{ size: [64, 64], edited: [64, 64], mode: 'RGB' },
      refusal: expect.stringMatching(/^400 /) as string,
    });
  });
});
