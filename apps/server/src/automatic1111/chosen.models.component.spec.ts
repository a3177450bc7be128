import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Jobs } from '@app/jobs';
import { ModelCatalog } from '@app/models';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { ChosenModels } from './chosen.models';

describe(ChosenModels.name, () => {
  const [ann, bob] = ['ann', 'bob'].map((name) => key(name, ['draw', 'read']));
  const folder = mkdtempSync(join(tmpdir(), 'models-'));
  const file = join(folder, 'models.yaml');
  let api: Api;
  const choose = (name: string, by = ann) =>
    http(api.url).post('/sdapi/v1/options').set(by.header).send({ sd_model_checkpoint: name });
  const chosen = async (by = ann) => {
    const { body } = await http(api.url).get('/sdapi/v1/options').set(by.header).expect(200);
    return (body as { sd_model_checkpoint: string }).sd_model_checkpoint;
  };
  /** The model of the job that comes of it, which is not drawn: the stub of the pipeline has one. */
  const drawnWith = async (body: object = {}, by = ann, route = 'txt2img') => {
    const request = { prompt: 'x', init_images: ['x'], width: 64, height: 64, ...body };
    const jobs = api.app.get(Jobs);
    const known = (await jobs.list({ limit: 9 })).jobs.length;
    const reply = http(api.url)
      .post(`/sdapi/v1/${route}`)
      .set(by.header)
      .send(request)
      .then(() => {});
    await until(async () => (await jobs.list({ limit: 9 })).jobs.length > known);
    const [job] = (await jobs.list({ limit: 1 })).jobs;
    await jobs.cancel(job.id).catch(() => {});
    await reply;
    return job.picture.model;
  };

  beforeEach(async () => {
    writeFileSync(file, 'first: { MODEL_PATH: demo }\nother: { MODEL_PATH: demo, aliases: [alias] }\n');
    api = await startApi({ API_KEYS: JSON.stringify([ann.entry, bob.entry]), MODELS_FILE: file });
  });
  afterEach(() => api.close());
  afterAll(() => rmSync(folder, { recursive: true }));

  it('should be those of requests that name none, of each caller its own', async () => {
    await choose('other').expect(200, {});
    expect([await chosen(), await chosen(bob)]).toEqual(['other', 'first']);
    expect([await drawnWith(), await drawnWith({}, bob)]).toEqual(['other', undefined]);
    const override_settings = { sd_model_checkpoint: 'first' };
    expect(await drawnWith({ override_settings })).toBe('first');
    await choose('first').expect(200);
    expect([await chosen(), await drawnWith()]).toEqual(['first', 'first']);
  });

  it('should go by other names, and count for pictures to begin from', async () => {
    await choose('alias').expect(200);
    expect(await chosen()).toBe('other');
    const init_images = [
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
    ];
    expect(await drawnWith({ init_images }, ann, 'img2img')).toBe('other');
  });

  it('should give way to the first when they are taken away, and be no others', async () => {
    await choose('other').expect(200);
    writeFileSync(file, 'first: { MODEL_PATH: demo }\n');
    await api.app.get(ModelCatalog).reload();
    expect([await chosen(), await drawnWith()]).toEqual(['first', undefined]);
    const { status, body } = await choose('other');
    expect({ status, body: body as object }).toMatchObject({
      status: 400,
      body: { error: { param: 'sd_model_checkpoint', message: expect.stringContaining('Expected first') } },
    });
  });
});
