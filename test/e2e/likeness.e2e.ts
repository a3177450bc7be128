import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { FEW_PICTURES, Service } from '../support/service';

const SMALL = { user_id: 'eileen', size: '64x64', num_inference_steps: 2, guidance_scale: 1 };
const ASTRONAUT = join(__dirname, '../fixtures/astronaut.png');

interface Picture {
  readonly data: readonly { readonly url: string; readonly seed: number; readonly likeness: number | null }[];
  readonly tries: number;
  readonly warnings: readonly string[];
  readonly timings: Readonly<Record<string, number>>;
}

/** The demo model draws no faces: of those without one the first is the answer. */
describe('Candidates', () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;

  beforeAll(async () => {
    service = await Service.startReady({
      ...FEW_PICTURES,
      DATA_DIR,
      EMBED_PARAMETERS: 'false',
      FACE_DETECTION: 'true',
    });
    expect((await service.putPicture('/v1/users/eileen/photo', ASTRONAUT)).status).toBe(200);
  });
  afterAll(() => service?.stop());

  const files = (folder: string) => {
    const path = join(DATA_DIR, folder);
    return existsSync(path) ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : [];
  };
  const stored = () => files('generated').filter((name) => name.endsWith('.png'));
  const draw = async (body: object) => {
    const response = await service.post('/v1/images/subject', { ...SMALL, ...body });
    const reply = (await response.json()) as Picture;
    expect({ status: response.status, reply }).toMatchObject({ status: 200 });
    const png = await fetch(service.url + new URL(reply.data[0].url).pathname);
    return { reply, png: Buffer.from(await png.arrayBuffer()) };
  };

  it('should draw three, store one of them, and say that it has no face', async () => {
    const { reply, png } = await draw({ candidates: 3, seed: 7 });
    expect(reply).toMatchObject({
      data: [{ seed: 7, likeness: null }],
      tries: 3,
      warnings: ['No face was found in the picture.'],
    });
    expect(reply.timings.faces_ms).toBeGreaterThan(0);
    expect(stored()).toHaveLength(1);
    expect((await draw({ seed: 7 })).png.equals(png)).toBe(true);
    expect((await draw({ seed: 8 })).png.equals(png)).toBe(false);
  });

  it('should store nothing of one that is cancelled at the second', async () => {
    const before = stored();
    const steps = 40;
    const body = { ...SMALL, candidates: 3, num_inference_steps: steps };
    const id = await service.submit('/v1/images/subject', body);
    const job = () => service.job(id);
    await service.until(async () => ((await job()).progress?.step ?? 0) > steps, 'draws the second');
    expect((await job()).progress!.steps).toBe(3 * steps);
    await fetch(`${service.url}/v1/jobs/${id}`, { method: 'DELETE' });
    expect((await job()).state).toBe('cancelled');
    await draw({ seed: 9 }); // the engine is free again
    expect(stored()).toHaveLength(before.length + 1);
    expect(files('inputs')).toEqual([]);
  });
});
