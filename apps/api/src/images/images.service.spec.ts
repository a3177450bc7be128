import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { loadConfig } from '@app/config';
import { JobRunner } from '@app/pipeline';
import { MemoryStorage } from '../../../../test/support/memory.storage';
import { PipelineStub } from '../../../../test/support/pipeline.stub';
import { loraLayer, writeSafetensors } from '../../../../test/support/safetensors';
import { LiveRequests } from '../users/live.requests';
import { UserPictures } from '../users/user.pictures';
import { ImagesService } from './images.service';
import type { Links } from './links';
import { ReferenceFetcher } from './reference.fetcher';

const never = new AbortController().signal;
const coloured = (background: string) =>
  sharp({ create: { width: 224, height: 224, channels: 3, background } })
    .png()
    .toBuffer();

describe(ImagesService.name, () => {
  let storage: MemoryStorage;
  let pipeline: PipelineStub;
  let live: LiveRequests;

  beforeEach(() => {
    storage = new MemoryStorage();
    pipeline = new PipelineStub();
    live = new LiveRequests(loadConfig({}));
  });

  function service(variables: Record<string, string> = {}): ImagesService {
    const config = loadConfig({ MODEL_PATH: 'demo', ...variables });
    return new ImagesService(
      config,
      pipeline.as(),
      new JobRunner(pipeline.as(), storage),
      new UserPictures(config, storage),
      live,
      new ReferenceFetcher(config),
      { picture: (key: string) => `http://here/${key}` } as Links,
    );
  }
  const put = async (key: string, background: string, at: number) =>
    storage.objects.set(key, { bytes: await coloured(background), at: new Date(at) });
  const drawnFrom = () => [...pipeline.requests.at(-1)!.reference!.pixels.subarray(0, 3)];

  it('should prefer the avatar .png, then .jpg, .jpeg, .webp, then the newest in the folder', async () => {
    const images = service();
    const draw = () => images.memory({ user_id: 'ann', prompt: 'x' }, never);
    await put('avatars/ann/old.png', '#000001', 1000);
    await put('avatars/ann/new.png', '#000002', 3000);
    await put('avatars/ann/middle.png', '#000003', 2000);
    await put('avatars/anna/newer.png', '#000004', 4000);
    await draw();
    expect(drawnFrom()).toEqual([0, 0, 2]);
    for (const [ending, blue] of [
      ['webp', 5],
      ['jpeg', 6],
      ['jpg', 7],
      ['png', 8],
    ] as const) {
      await put(`avatars/ann.${ending}`, `#00000${blue}`, 1); // told apart by content, not by name
      await draw();
      expect(drawnFrom()).toEqual([0, 0, blue]);
    }
  });

  it('should take defaults from the configuration and options from the request', async () => {
    const images = service({ NEGATIVE_PROMPT: 'fog', DEFAULT_SIZE: '192x64' });
    await images.generations({ prompt: 'x' }, never);
    expect(pipeline.requests[0]).toMatchObject({ negativePrompt: 'fog', width: 192, height: 64 });
    const chosen = { negative_prompt: '', size: '64x64', guidance_scale: 0, num_inference_steps: 1, seed: 0 };
    await images.generations({ prompt: 'x', ...chosen }, never);
    expect(pipeline.requests[1]).toMatchObject({
      negativePrompt: '',
      width: 64,
      steps: 1,
      guidanceScale: 0,
      seed: 0,
    });
  });

  it('should tell a stored avatar that is no picture', async () => {
    await storage.put('avatars/ann.png', Buffer.from('hello'));
    await expect(service().memory({ user_id: 'ann', prompt: 'x' }, never)).rejects.toMatchObject({
      code: 'unsupported_picture',
      param: 'user_id',
    });
  });

  it('should refuse LoRAs and pictures that are switched off even while the model loads', async () => {
    pipeline.state = { state: 'loading', model: 'demo', waiting: 0 };
    pipeline.hasIpAdapter = false;
    const images = service({ ENABLE_LORA: 'false' });
    await expect(images.generations({ prompt: 'x', loras: [{ name: 'a' }] }, never)).rejects.toMatchObject({
      code: 'lora_disabled',
    });
    await expect(images.subject({ user_id: 'ann' }, never)).rejects.toMatchObject({
      code: 'ip_adapter_disabled',
    });
  });

  it.each(['starting', 'loading', 'warming', 'failed', 'stopped'] as const)(
    'should refuse work while the engine is %s',
    async (state) => {
      pipeline.state = { state, reason: 'no GPU device', model: 'demo', waiting: 0 };
      await expect(service().generations({ prompt: 'x' }, never)).rejects.toMatchObject({
        code: 'engine_not_ready',
      });
    },
  );

  it('should resolve LoRAs to files with their scale', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'loras-'));
    await writeSafetensors(join(folder, 'grain.safetensors'), loraLayer('a', 2, 2));
    pipeline.loraDir = folder;
    await service().generations({ prompt: 'x', loras: [{ name: 'grain' }] }, never);
    expect(pipeline.requests[0].loras).toEqual([
      { name: 'grain', path: join(folder, 'grain.safetensors'), scale: 1, tensors: 3 },
    ]);
    await service().generations({ prompt: 'x', loras: [{ name: 'grain', scale: -0.5 }] }, never);
    expect(pipeline.requests[1].loras[0].scale).toBe(-0.5);
    await rm(folder, { recursive: true });
  });

  it('should draw from a picture at an address, and tell when there is none', async () => {
    const bytes = await coloured('#0000ff');
    const server = createServer((request, response) =>
      response.end(request.url === '/picture' ? bytes : 'hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const images = service({ REFERENCE_URL_ALLOW: '127.0.0.1' });
    const draw = (path: string) =>
      images.generations({ prompt: 'x', reference_image_url: address + path }, never);
    await draw('/picture');
    expect(drawnFrom()).toEqual([0, 0, 255]);
    await expect(draw('/text')).rejects.toMatchObject({
      code: 'unsupported_picture',
      param: 'reference_image_url',
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('should cancel the requests of a user and of nobody else', async () => {
    await put('subjects/ann.png', '#000001', 1);
    await put('subjects/anna.png', '#000001', 1);
    const images = service();
    let held = pipeline.hold();
    const ann = images.subject({ user_id: 'ann' }, never);
    const refused = expect(ann).rejects.toMatchObject({ code: 'cancelled' });
    await held;
    held = pipeline.hold();
    const leave = new AbortController();
    const anna = images.subject({ user_id: 'anna' }, leave.signal);
    let annaEnded = false;
    void anna.catch(() => (annaEnded = true));
    await held;
    await live.cancelUser('ann');
    await refused;
    expect(annaEnded).toBe(false);
    leave.abort(new Error('left'));
    await expect(anna).rejects.toThrow('left');
  });
});
