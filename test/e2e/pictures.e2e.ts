import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { NIGHT_LORA, temporaryFolder } from '../support/demo';
import { backgroundOf } from '../support/picture';
import {
  DEMO_LAYER,
  loraForAnotherModel,
  partlyMatchingLora,
  writeSafetensors,
} from '../support/safetensors';
import { Service, isAlive } from '../support/service';

const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const CAKE = join(__dirname, '../fixtures/cake-on-green.png');

/**
 * The cheapest picture, for what does not depend on how good it looks: prompts cost most of its time, and without guidance
 * only one is encoded.
 */
const SMALL = { size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
/** Good enough to see what is on it. */
const CLEAR = { num_inference_steps: 12, seed: 7, guidance_scale: 4 };

interface Picture {
  id: string;
  created: number;
  data: { s3_uri: string; url: string; seed: number; size: string }[];
  timings: Record<string, number>;
  warnings: string[];
}
interface Failure {
  error: { code: string; message: string; param: string | null; type: string };
}

describe('Pictures, from request to file', () => {
  const folder = temporaryFolder();
  const loras = temporaryFolder();
  let service: Service;
  let pictures: Server;
  let outside: string;

  beforeAll(async () => {
    copyFileSync(NIGHT_LORA, join(loras, 'night.safetensors'));
    await partlyMatchingLora(join(loras, 'partly.safetensors'));
    await loraForAnotherModel(join(loras, 'other-model.safetensors'));
    await writeSafetensors(join(loras, 'nan.safetensors'), {
      ...DEMO_LAYER,
      'lora_unet_b.lora_up.weight': { shape: [1], values: [NaN] },
    });
    pictures = createServer((request, response) => {
      if (request.url === '/cake.png') response.end(readFileSync(CAKE));
      else response.writeHead(404).end();
    }).listen(0, '127.0.0.1');
    await once(pictures, 'listening');
    outside = `http://127.0.0.1:${(pictures.address() as AddressInfo).port}`;
    service = await Service.startReady({
      DATA_DIR: folder,
      LORA_DIR: loras,
      REFERENCE_URL_ALLOW: '127.0.0.1',
      // Bytes are compared: what differs are pixels, not the words beside them.
      EMBED_PARAMETERS: 'false',
    });
    for (const [user, file] of [
      ['ada', PANDA],
      ['bob', CAKE],
    ]) {
      expect((await service.putPicture(`/v1/users/${user}/avatar`, file)).status).toBe(200);
      expect((await service.putPicture(`/v1/users/${user}/photo`, file)).status).toBe(200);
    }
  });
  afterAll(async () => {
    await service?.stop();
    pictures.close();
  });

  async function draw(path: string, body: object): Promise<{ reply: Picture; png: Buffer }> {
    const response = await service.post(path, body);
    const reply = (await response.json()) as Picture;
    expect({ status: response.status, reply }).toMatchObject({ status: 200 });
    const url = new URL(reply.data[0].url);
    const served = await fetch(service.url + url.pathname);
    expect(served.headers.get('content-type')).toBe('image/png');
    return { reply, png: Buffer.from(await served.arrayBuffer()) };
  }
  const png = async (path: string, body: object) => (await draw(path, body)).png;
  const refused = async (path: string, body: object) => {
    const response = await service.post(path, body);
    return { status: response.status, ...((await response.json()) as Failure).error };
  };
  const results = () => {
    const root = join(folder, 'generated');
    mkdirSync(root, { recursive: true });
    return readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.png'))
      .sort();
  };

  describe('POST /v1/images/generations', () => {
    it('should draw what the prompt says and tell everything about it', async () => {
      const { reply, png } = await draw('/v1/images/generations', {
        prompt: 'a fox on a blue background',
        ...CLEAR,
      });
      expect(reply).toEqual({
        created: expect.any(Number) as number,
        id: expect.stringMatching(/^[0-9a-f]{24}$/) as string,
        data: [
          {
            s3_uri: `s3://local/generated/${reply.id}.png`,
            url: `${service.url.replace('127.0.0.1', 'localhost')}/images/generated/${reply.id}.png`,
            seed: 7,
            size: '128x128',
            likeness: null,
          },
        ],
        tries: 1,
        timings: expect.any(Object) as object,
        warnings: [],
        generation: null,
        // As OpenAI's clients expect them.
        ...{ background: 'opaque', output_format: 'png', size: '128x128' },
        usage: expect.objectContaining({ total_tokens: 0 }) as object,
      });
      const { queue_ms, text_ms, sampling_ms, decode_ms, total_ms } = reply.timings;
      expect(Math.min(text_ms, sampling_ms, decode_ms)).toBeGreaterThan(0);
      expect(total_ms).toBeGreaterThanOrEqual(queue_ms + text_ms + sampling_ms + decode_ms);
      expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 128, height: 128 });
      const { r, g, b } = await backgroundOf(png);
      expect(b).toBeGreaterThan(Math.max(r, g) + 40);
      expect(readFileSync(join(folder, 'generated', `${reply.id}.png`)).equals(png)).toBe(true);
    });

    it('should give the same bytes for the same seed, and others for another seed or prompt', async () => {
      const ask = (more: object) =>
        png('/v1/images/generations', { prompt: 'a fox on blue', ...SMALL, ...more });
      const first = await ask({});
      expect((await ask({})).equals(first)).toBe(true);
      expect((await ask({ seed: 8 })).equals(first)).toBe(false);
      expect((await ask({ prompt: 'a pizza on green' })).equals(first)).toBe(false);
    });

    it('should draw n pictures, the same as one by one with the seeds that they tell', async () => {
      const ask = { prompt: 'a fox on blue', ...SMALL };
      const { reply } = await draw('/v1/images/generations', { ...ask, n: 2 });
      expect(reply.data.map(({ seed }) => seed)).toEqual([7, 8]);
      const made = await Promise.all(
        reply.data.map(async ({ url }) => {
          const served = await fetch(service.url + new URL(url).pathname);
          return Buffer.from(await served.arrayBuffer());
        }),
      );
      for (const [i, bytes] of made.entries())
        expect(bytes.equals(await png('/v1/images/generations', { ...ask, seed: 7 + i }))).toBe(true);
      expect(made[0].equals(made[1])).toBe(false);
    });

    it('should sample as asked, whoever named the sampler', async () => {
      // Of two steps every schedule has the same.
      const ask = (more: object) =>
        png('/v1/images/generations', { prompt: 'a fox on blue', ...SMALL, num_inference_steps: 3, ...more });
      const own = await ask({ sampler: 'dpm++2m', scheduler: 'karras' });
      expect((await ask({ sampler: 'DPM++ 2M Karras' })).equals(own)).toBe(true);
      expect((await ask({ sampler: 'dpm++2m' })).equals(own)).toBe(false);
      expect((await ask({ sampler: 'Heun', scheduler: 'Karras' })).equals(own)).toBe(false);
    });

    it('should read the prompt at the layer of clip_skip, by default at the last but one', async () => {
      const ask = (more: object) =>
        png('/v1/images/generations', { prompt: 'a fox on blue', ...SMALL, ...more });
      const usual = await ask({});
      expect((await ask({ clip_skip: 2 })).equals(usual)).toBe(true);
      expect((await ask({ clip_skip: 1 })).equals(usual)).toBe(false);
    });

    it('should draw the prompt alone where guidance_scale guides nothing', async () => {
      const ask = (prompt: string, guidance_scale: number) =>
        png('/v1/images/generations', { prompt, ...SMALL, guidance_scale });
      const fox = await ask('a fox on blue', 0);
      expect((await ask('a pizza on green', 0)).equals(fox)).toBe(false);
      for (const scale of [0.5, 1]) expect((await ask('a fox on blue', scale)).equals(fox)).toBe(true);
      expect((await ask('a pizza on green', 1)).equals(fox)).toBe(false);
    });

    it.each([
      ['that are no numbers', 'a (red:.) fox, (red:-.), (:1.2.3)'],
      [
        'of fifty digits',
        `a (red:${'9'.repeat(50)}) fox, (blue:-${'9'.repeat(50)}), (x:0.${'0'.repeat(50)}1)`,
      ],
      ['whose product overflows', `${'('.repeat(1_900)}blue fox`],
      ['whose product vanishes', `${'['.repeat(900)}red${']'.repeat(900)} fox`],
    ])('should draw prompts with weights %s, and tell', async (_what, words) => {
      // Guided: without guidance the engine does not read the negative prompt.
      const guided = { ...SMALL, guidance_scale: 4 };
      const { reply } = await draw('/v1/images/generations', {
        ...{ prompt: words, negative_prompt: words },
        ...guided,
      });
      expect(reply.warnings).toEqual([expect.stringContaining('Weights in a prompt')]);
    });

    it('should draw after a picture from outside', async () => {
      const image = `${outside}/cake.png`;
      const { r, g, b } = await backgroundOf(
        await png('/v1/images/generations', {
          prompt: 'a fox',
          ...CLEAR,
          ip_adapter_scale: 1,
          reference_image_url: image,
        }),
      );
      expect(g).toBeGreaterThan(Math.max(r, b) + 30);
    });

    it('should skip steps with a cache, which give the same picture each time', async () => {
      // Of fewer it skips none.
      const ask = { prompt: 'a fox on blue', ...SMALL, num_inference_steps: 12 };
      const plain = await png('/v1/images/generations', ask);
      const cached = await png('/v1/images/generations', { ...ask, cache: 'spectrum' });
      expect(cached.equals(plain)).toBe(false);
      expect((await png('/v1/images/generations', { ...ask, cache: 'spectrum' })).equals(cached)).toBe(true);
    });

    it('should begin from a picture, and paint anew what a mask says and nothing else', async () => {
      const cake = readFileSync(CAKE);
      const dataUrl = (bytes: Buffer) => `data:image/png;base64,${bytes.toString('base64')}`;
      // Lossless, and of the size that is asked for, which the engine draws 128x64: what is kept can be compared.
      const size = { width: 72, height: 64 };
      const start = await sharp(cake)
        .removeAlpha()
        .resize({ ...size, fit: 'fill' })
        .png()
        .toBuffer();
      const right = await sharp({ create: { ...size, channels: 3, background: '#000' } })
        .composite([
          { input: { create: { width: 36, height: 64, channels: 3, background: '#fff' } }, left: 36, top: 0 },
        ])
        .png()
        .toBuffer();
      const few = { ...SMALL, size: '72x64', num_inference_steps: 4 };
      const ask = { prompt: 'a fox on blue', ...few, image: dataUrl(start) };
      const pixelsOf = (bytes: Buffer) => sharp(bytes).raw().toBuffer();
      const [before, faint, masked] = await Promise.all(
        [
          start,
          await png('/v1/images/generations', { ...ask, strength: 0.2 }),
          await png('/v1/images/generations', { ...ask, mask: dataUrl(right) }),
        ].map(pixelsOf),
      );
      const isRight = (at: number) => Math.floor(at / 3) % 72 >= 36;
      expect(masked).toHaveLength(before.length);
      const distance = (made: Buffer, where: (at: number) => boolean) => {
        const places = [...before.keys()].filter(where);
        return places.reduce((sum, at) => sum + Math.abs(made[at] - before[at]), 0) / places.length;
      };
      expect(distance(masked, (at) => !isRight(at))).toBe(0);
      expect(distance(masked, isRight)).toBeGreaterThan(20);
      expect(distance(faint, () => true)).toBeGreaterThan(0);
      expect(distance(faint, () => true)).toBeLessThan(distance(masked, isRight));
    });

    it('should pick a seed, tell it, and repeat the picture from it', async () => {
      const body = { prompt: 'a cat', ...SMALL, seed: undefined };
      const first = await draw('/v1/images/generations', body);
      const [{ seed }] = first.reply.data;
      expect((await png('/v1/images/generations', { ...body, seed })).equals(first.png)).toBe(true);
    });
  });

  describe('LoRAs', () => {
    const fox = { prompt: 'a fox on blue', ...SMALL };

    it('should be told of where they are a tag in a prompt', async () => {
      const prompt = `${fox.prompt} <lora:night:1>`;
      const { reply } = await draw('/v1/images/generations', { ...fox, prompt });
      expect(reply.warnings).toEqual([expect.stringContaining('the field loras')]);
    });

    it('should change the picture', async () => {
      const plain = await png('/v1/images/generations', fox);
      const { reply, png: night } = await draw('/v1/images/generations', {
        ...fox,
        loras: [{ name: 'night' }],
      });
      expect(reply.warnings).toEqual([]);
      expect(night.equals(plain)).toBe(false);
    });

    it('should warn when only a part fits the model', async () => {
      const { reply } = await draw('/v1/images/generations', {
        ...fox,
        loras: [{ name: 'partly', scale: 0.5 }],
      });
      expect(reply.warnings).toEqual([
        'LoRA "partly" fits the model only in part: 3 of 6 tensors were applied.',
      ]);
    });

    it('should refuse one of which nothing fits, and one that is not there', async () => {
      const ask = (name: string) => refused('/v1/images/generations', { ...fox, loras: [{ name }] });
      expect(await ask('other-model')).toMatchObject({ status: 422, code: 'lora_not_applied' });
      // Before anything is drawn: the picture would be flat.
      expect(await ask('nan')).toMatchObject({
        status: 422,
        code: 'lora_not_applied',
        param: 'loras.0.name',
      });
      expect(await ask('missing')).toMatchObject({
        status: 404,
        code: 'lora_not_found',
        param: 'loras.0.name',
      });
    });
  });

  describe('POST /v1/images/memory', () => {
    it('should take the background from each avatar: same prompt, same seed', async () => {
      const body = { prompt: 'a fox', ...CLEAR, ip_adapter_scale: 1 };
      const { reply, png: withPanda } = await draw('/v1/images/memory', { user_id: 'ada', ...body });
      const withCake = await png('/v1/images/memory', { user_id: 'bob', ...body });
      expect(reply.data[0].s3_uri).toBe(`s3://local/generated/ada/memory_${reply.id}.png`);
      expect(reply.timings.image_ms).toBeGreaterThan(0);
      const purple = await backgroundOf(withPanda);
      const green = await backgroundOf(withCake);
      expect(Math.min(purple.r, purple.b)).toBeGreaterThan(purple.g + 30);
      expect(green.g).toBeGreaterThan(Math.max(green.r, green.b) + 30);
    });

    it('should refuse a user without an avatar and say how to give one', async () => {
      const failure = await refused('/v1/images/memory', { user_id: 'nobody', prompt: 'a fox' });
      expect(failure).toMatchObject({ status: 404, code: 'avatar_not_found' });
      expect(failure.message).toContain('/v1/users/nobody/avatar');
    });
  });

  describe('POST /v1/images/subject', () => {
    it('should draw after each photo', async () => {
      const { reply, png: ada } = await draw('/v1/images/subject', { user_id: 'ada', ...SMALL });
      expect(reply.data[0].s3_uri).toBe(`s3://local/generated/ada/subject_${reply.id}.png`);
      expect((await png('/v1/images/subject', { user_id: 'bob', ...SMALL })).equals(ada)).toBe(false);
    });
  });

  it('should serve side by side what came side by side, in order', async () => {
    const asked = [1, 2, 3].map((seed) =>
      draw('/v1/images/generations', { prompt: 'a key', ...SMALL, seed }),
    );
    const queued = (await Promise.all(asked)).map(({ reply }) => reply.timings.queue_ms);
    expect(queued).toEqual([...queued].sort((a, b) => a - b));
    expect(queued[2]).toBeGreaterThan(1000);
  });

  it('should stop the picture of a caller who left, and store nothing', async () => {
    const before = results();
    const caller = new AbortController();
    const left = service.post(
      '/v1/images/generations',
      { prompt: 'a tree', ...SMALL, size: '192x192', num_inference_steps: 150 },
      caller.signal,
    );
    await service.until(async () => (await state()) === 'busy', 'draws');
    await sleep(500);
    caller.abort();
    await expect(left).rejects.toThrow();
    await service.until(async () => (await state()) === 'ready', 'is free again');
    expect(results()).toEqual(before);
  });

  it("should write nothing of a user's running picture once the user is deleted", async () => {
    const running = refused('/v1/images/memory', {
      user_id: 'bob',
      prompt: 'a fox',
      ...SMALL,
      size: '128x128',
      num_inference_steps: 100,
    });
    await service.until(async () => (await state()) === 'busy', 'draws');
    expect((await fetch(`${service.url}/v1/users/bob`, { method: 'DELETE' })).status).toBe(204);
    expect(await running).toMatchObject({ status: 409, code: 'cancelled' });
    expect(results().filter((name) => name.startsWith('bob'))).toEqual([]);
    expect((await fetch(`${service.url}/v1/users/bob/avatar`)).status).toBe(404);
    expect(results().filter((name) => name.startsWith('ada')).length).toBeGreaterThan(0);
  });

  it('should draw again when the engine process is killed, and stay alive meanwhile', async () => {
    const body = { prompt: 'a frog', ...SMALL, num_inference_steps: 8 };
    const expected = await png('/v1/images/generations', body);
    const running = service.post('/v1/images/generations', body);
    await service.until(async () => (await state()) === 'busy', 'draws');
    const engine = service.enginePid!;
    process.kill(engine, 'SIGKILL');
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
    const response = await running;
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as Picture;
    const picture = await fetch(service.url + new URL(data[0].url).pathname);
    expect(Buffer.from(await picture.arrayBuffer()).equals(expected)).toBe(true);
    expect(service.enginePid).not.toBe(engine);
    expect(isAlive(engine)).toBe(false);
  });

  async function state(): Promise<string> {
    const body = (await (await fetch(`${service.url}/health/ready`)).json()) as {
      details: { pipeline: { state: string } };
    };
    return body.details.pipeline.state;
  }
});
