import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demoModel, temporaryFolder } from '../support/demo';
import { writeSecondModel } from '../support/second.model.js';
import { FEW_PICTURES, Service, type Job } from '../support/service';

const PICTURE = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 4, seed: 1 };
/** Bytes of a file are those of its pixels. */
const SETTINGS = { ...FEW_PICTURES, ENABLE_IP_ADAPTER: 'false', EMBED_PARAMETERS: 'false' };

describe('several models', () => {
  const folder = temporaryFolder();
  const file = join(folder, 'models.yaml');
  const second = join(folder, 'second.safetensors');
  let service: Service;

  beforeAll(async () => {
    writeSecondModel((await demoModel()).checkpoint, second);
    writeFileSync(file, `blue: { MODEL_PATH: demo }\nred: { MODEL_PATH: ${second}, aliases: [dall-e-2] }\n`);
    service = await Service.startReady({ ...SETTINGS, DATA_DIR: folder, MODELS_FILE: file });
  });
  afterAll(() => service.stop());

  const pixelsOf = async ({ result }: Job) => {
    const response = await fetch(service.url + new URL(result!.data[0].url).pathname);
    return Buffer.from(await response.arrayBuffer());
  };
  const draw = async (model?: string) => {
    const id = await service.submit('/v1/images/generations', { ...PICTURE, model });
    return pixelsOf(await service.jobUntil(id, 'succeeded'));
  };
  const models = async () => {
    const response = await fetch(`${service.url}/v1/models`);
    const { data } = (await response.json()) as { data: { id: string; loaded: boolean }[] };
    return data.filter(({ id }) => ['blue', 'red', 'green', 'dall-e-2'].includes(id));
  };

  it('should draw with the model that is named, and stay ready while it is loaded', async () => {
    const blue = await draw();
    expect(await models()).toMatchObject([
      { id: 'blue', loaded: true },
      { id: 'red', loaded: false },
      { id: 'dall-e-2', loaded: false },
    ]);
    const drawing = draw('dall-e-2');
    await service.until(async () => (await models())[1].loaded, 'loads the second model');
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
    const red = await drawing;
    expect(red.equals(blue)).toBe(false);
    expect((await draw('blue')).equals(blue)).toBe(true);
    expect((await draw('red')).equals(red)).toBe(true);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toContain('image_model_switches_total 3');
  });

  it('should take a changed file without a restart, and refuse what it took away', async () => {
    const blue = await draw('blue');
    const running = await service.submit('/v1/images/generations', { ...PICTURE, num_inference_steps: 60 });
    await service.jobUntil(running, 'running');
    const waiting = await service.submit('/v1/images/generations', { ...PICTURE, model: 'red' });
    writeFileSync(file, `blue: { MODEL_PATH: demo }\ngreen: { MODEL_PATH: ${second} }\n`);
    await service.until(async () => (await models()).some(({ id }) => id === 'green'), 'has read the file');
    expect((await service.job(running)).state).toBe('running');
    const response = await service.post('/v1/images/generations', { ...PICTURE, model: 'red' });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
    const refused = await service.jobUntil(waiting, 'failed');
    expect(refused.error).toMatchObject({ code: 'model_not_found' });
    await service.jobUntil(running, 'succeeded');
    expect((await draw('green')).equals(blue)).toBe(false);
  });
});
