import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';

const NIGHT = join(__dirname, '../../../../libs/models/demo/loras/night.safetensors');

describe('LORA_TAGS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'loras-'));
  let api: Api;
  const start = async (LORA_TAGS: string) => {
    api = await startApi({
      LORA_TAGS,
      MEMORY_PROMPT_TEMPLATE: 'oil, {prompt}',
      S3_AVATAR_PREFIX: 'avatars/',
    });
    api.pipeline.loraDir = folder;
  };
  const post = (path: string, body: object) => http(api.url).post(`/v1/images/${path}`).send(body);

  beforeAll(() => {
    for (const name of ['night', 'day']) copyFileSync(NIGHT, join(folder, `${name}.safetensors`));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => api.close());

  it('should apply what a prompt names, beside what the field names', async () => {
    await start('true');
    const body = { prompt: 'a fox <lora:night:0.5>', loras: [{ name: 'day', scale: 2 }] };
    await post('generations', body).expect(200);
    const avatar = sharp({ create: { width: 64, height: 64, channels: 3, background: '#c83214' } }).png();
    await api.storage.put('avatars/ann.png', await avatar.toBuffer(), 'image/png');
    await post('memory', { prompt: '<lora:night> a fox', user_id: 'ann' }).expect(200);
    expect(api.pipeline.requests).toMatchObject([
      {
        prompt: 'a fox',
        loras: [
          { name: 'day', scale: 2 },
          { name: 'night', scale: 0.5 },
        ],
      },
      { prompt: 'oil, a fox', loras: [{ name: 'night', scale: 1 }] },
    ]);
  });

  it.each([
    ['a fox <lora:night:99>', 400, 'loras.0.scale'],
    ['a fox <lora:nobody>', 404, 'loras.0.name'],
    ['<lora:night>', 400, 'prompt'],
    [`a fox ${Array.from({ length: 9 }, (_, i) => `<lora:l${i}>`).join('')}`, 400, 'loras'],
  ])('should refuse %s as it would refuse the field', async (prompt, status, param) => {
    await start('true');
    const reply = await post('generations', { prompt });
    expect({ status: reply.status, body: reply.body as object }).toMatchObject({
      status,
      body: { error: { param } },
    });
    expect(api.pipeline.requests).toEqual([]);
  });

  it('should leave prompts alone by default', async () => {
    await start('');
    await post('generations', { prompt: 'a fox <lora:night:0.5>' }).expect(200);
    expect(api.pipeline.requests).toMatchObject([{ prompt: 'a fox <lora:night:0.5>', loras: [] }]);
  });
});
