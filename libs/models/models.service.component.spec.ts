import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join, relative } from 'node:path';
import { Test } from '@nestjs/testing';
import { Config, ConfigModule, loadConfig } from '@app/config';
import { HubServer } from '../../test/support/hub.server';
import { controlNetShapes } from '../../test/support/control.net';
import { embedding, safetensors, withHeader, writeSafetensors } from '../../test/support/safetensors';
import { asStranger } from '../../test/support/stranger';
import { demoFolder } from './demo';
import { ModelsModule } from './models.module';
import { ModelsService } from './models.service';

const WEIGHTS = safetensors({ weight: { shape: [100] } });

describe(ModelsService.name, () => {
  let root: string;

  beforeEach(async () => {
    // Not by mkdtemp, whose letters may be "v2", which PHOTO_MAKER_PATH must not hold.
    root = join(tmpdir(), `models-${process.pid}`);
    await mkdir(root);
  });
  afterEach(() => rm(root, { recursive: true }));

  const config = (env: NodeJS.ProcessEnv): Config => loadConfig({ DATA_DIR: join(root, 'data'), ...env });
  const resolve = (env: NodeJS.ProcessEnv) => new ModelsService(config(env)).resolve();
  async function file(name: string, tensor = 'weight'): Promise<string> {
    await writeSafetensors(join(root, name), { [tensor]: { shape: [4] } });
    return join(root, name);
  }

  it('should be had from its module', async () => {
    const model = await file('sdxl.safetensors');
    const module = await Test.createTestingModule({
      imports: [ConfigModule.forRoot(config({ MODEL_PATH: model })), ModelsModule],
    }).compile();
    expect((await module.get(ModelsService).resolve()).checkpoint).toBe(model);
  });

  describe('with a file', () => {
    it('should take it by its name, without an adapter', async () => {
      const model = await file('my-sdxl.safetensors');
      expect(await resolve({ MODEL_PATH: model })).toEqual({
        name: 'my-sdxl.safetensors',
        checkpoint: model,
      });
    });

    it('should make paths absolute', async () => {
      const model = await file('sdxl.safetensors');
      const { checkpoint } = await resolve({ MODEL_PATH: relative(process.cwd(), model) });
      expect(checkpoint).toBe(model);
    });

    it('should prefer MODEL_FILE to MODEL_PATH', async () => {
      const env = { MODEL_FILE: await file('a.safetensors'), MODEL_PATH: await file('b.safetensors') };
      expect((await resolve(env)).name).toBe('a.safetensors');
    });

    it('should take VAE, adapter, encoder and LoRAs from the variables', async () => {
      const env = {
        MODEL_PATH: await file('sdxl.safetensors'),
        VAE_PATH: await file('vae.safetensors'),
        IP_ADAPTER_PATH: await file('ip.safetensors'),
        CLIP_VISION_PATH: await file('clip.safetensors'),
        PHOTO_MAKER_PATH: await file('maker.safetensors', 'fuse_module.mlp1.fc1.weight'),
        LORA_DIR: root,
      };
      expect(await resolve(env)).toEqual({
        name: 'sdxl.safetensors',
        checkpoint: env.MODEL_PATH,
        vae: env.VAE_PATH,
        ipAdapter: env.IP_ADAPTER_PATH,
        clipVision: env.CLIP_VISION_PATH,
        photoMaker: env.PHOTO_MAKER_PATH,
        loraDir: root,
      });
    });

    it('should read the embeddings of the folder that the variable names, which is there', async () => {
      await writeSafetensors(join(root, 'night.safetensors'), embedding(2));
      const env = { MODEL_PATH: await file('sdxl.safetensors'), EMBEDDINGS_DIR: root };
      expect((await resolve(env)).embeddings).toMatchObject([{ name: 'night', vectors: 2 }]);
      const absent = resolve({ ...env, EMBEDDINGS_DIR: join(root, 'absent') });
      await expect(absent).rejects.toThrow('EMBEDDINGS_DIR cannot be read (ENOENT): check the folder.');
    });

    it('should read the ControlNets of the folder that the variable names', async () => {
      const nets = join(root, 'nets');
      await mkdir(nets);
      const shapes = Object.entries(controlNetShapes).map(([name, shape]) => [
        name,
        { dtype: 'F16', shape, data_offsets: [0, 0] },
      ]);
      await writeFile(
        join(nets, 'canny.safetensors'),
        withHeader(Object.fromEntries(shapes), Buffer.alloc(0)),
      );
      const env = { MODEL_PATH: await file('sdxl.safetensors'), CONTROL_NET_DIR: nets };
      expect((await resolve(env)).controlNets).toMatchObject([{ name: 'canny' }]);
    });

    it('should leave out what is switched off', async () => {
      const { ipAdapter, clipVision, loraDir } = await resolve({
        MODEL_PATH: await file('sdxl.safetensors'),
        IP_ADAPTER_PATH: await file('ip.safetensors'),
        LORA_DIR: root,
        ENABLE_IP_ADAPTER: 'false',
        ENABLE_LORA: 'false',
      });
      expect([ipAdapter, clipVision, loraDir]).toEqual([undefined, undefined, undefined]);
    });
  });

  describe('with a folder', () => {
    it('should take the only checkpoint in it', async () => {
      const model = await file('sdxl.safetensors');
      await writeFile(join(root, 'README.md'), 'mine');
      await mkdir(join(root, 'more.safetensors'));
      expect((await resolve({ MODEL_PATH: root })).checkpoint).toBe(model);
    });

    it('should list several and say to set MODEL_FILE', async () => {
      await file('a.safetensors');
      await file('b.gguf');
      await expect(resolve({ MODEL_PATH: root })).rejects.toThrow(
        'MODEL_PATH is a folder with several checkpoints (a.safetensors, b.gguf): set MODEL_FILE to one of them.',
      );
    });

    it('should say that a diffusers folder is not read', async () => {
      await mkdir(join(root, 'unet'));
      await expect(resolve({ MODEL_PATH: root })).rejects.toThrow(
        /^MODEL_PATH is a folder in which diffusers saved/,
      );
    });

    it('should say that an empty folder has none', async () => {
      await expect(resolve({ MODEL_PATH: root })).rejects.toThrow(
        /^MODEL_PATH is a folder without a checkpoint/,
      );
    });
  });

  describe('with a mistake', () => {
    const model = () => file('sdxl.safetensors');

    it.each<[string, () => Promise<NodeJS.ProcessEnv>, RegExp]>([
      [
        'MODEL_FILE',
        () => Promise.resolve({ MODEL_FILE: '/no/such' }),
        /^MODEL_FILE must be a checkpoint file that exists/,
      ],
      [
        'MODEL_PATH',
        () => Promise.resolve({ MODEL_PATH: '/no/such' }),
        /^MODEL_PATH must be "demo", a folder, a file/,
      ],
      [
        'a missing file in a folder',
        () => Promise.resolve({ MODEL_PATH: 'a/b.safetensors' }),
        /^MODEL_PATH must be/,
      ],
      [
        'VAE_PATH',
        async () => ({ MODEL_PATH: await model(), VAE_PATH: './no' }),
        /^VAE_PATH must be a file that exists/,
      ],
      [
        'LORA_DIR',
        async () => ({ MODEL_PATH: await model(), LORA_DIR: '/no/such' }),
        /^LORA_DIR must be a folder/,
      ],
      [
        'an adapter without its encoder',
        async () => ({ MODEL_PATH: await model(), IP_ADAPTER_PATH: await file('ip.safetensors') }),
        /^IP_ADAPTER_PATH needs CLIP_VISION_PATH/,
      ],
    ])('should name the variable and its rule: %s', async (_what, env, message) => {
      const error = await resolve(await env()).catch((x: Error) => x);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toContain('/no/such');
    });

    it('should notice a cut file before the engine does', async () => {
      const path = await file('sdxl.safetensors');
      await truncate(path, 100);
      await expect(resolve({ MODEL_PATH: path })).rejects.toThrow(
        /^MODEL_PATH: sdxl\.safetensors is cut short/,
      );
    });

    it.each([
      [
        'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6938078334\n',
        /Git LFS .*git lfs pull/,
      ],
      ['\n<!DOCTYPE html><html>', /is a web page, not a model/],
    ])('should say what was copied in place of a model: %j', async (text, message) => {
      for (const name of ['sdxl.ckpt', 'sdxl.safetensors', 'sdxl.bin']) {
        await writeFile(join(root, name), text);
        await expect(resolve({ MODEL_FILE: join(root, name) })).rejects.toThrow(message);
      }
    });

    it('should not take a folder that may not be entered for one that is not there', async () => {
      const path = await file('sdxl.safetensors');
      const reason = /^(MODEL_FILE|MODEL_PATH|LORA_DIR): its path cannot be read \(EACCES\)/;
      await asStranger(root, async () => {
        await expect(resolve({ MODEL_FILE: path })).rejects.toThrow(reason);
        await expect(resolve({ MODEL_PATH: path })).rejects.toThrow(reason);
        await expect(resolve({ MODEL_PATH: 'demo', LORA_DIR: join(root, 'loras') })).rejects.toThrow(reason);
      });
    });

    it('should notice a file that only has the name of a model', async () => {
      await writeFile(join(root, 'sdxl.gguf'), '<html>');
      await expect(resolve({ MODEL_FILE: join(root, 'sdxl.gguf') })).rejects.toThrow(
        /^MODEL_FILE: .*not a GGUF file/,
      );
      await writeFile(join(root, 'sdxl.ckpt'), '');
      await expect(resolve({ MODEL_FILE: join(root, 'sdxl.ckpt') })).rejects.toThrow(
        /^MODEL_FILE: .* is empty/,
      );
    });
  });

  describe('with a hub', () => {
    let hub: HubServer;

    beforeEach(async () => {
      hub = await HubServer.start({
        'sd_xl_base_1.0.safetensors': WEIGHTS,
        'sd_xl_base_1.0_0.9vae.safetensors': Buffer.from('not this one'),
        'sdxl_vae.safetensors': WEIGHTS,
        'sdxl_models/ip-adapter_sdxl_vit-h.safetensors': WEIGHTS,
        'models/image_encoder/model.safetensors': WEIGHTS,
      });
    });
    afterEach(() => hub.stop());
    const env = (more: NodeJS.ProcessEnv = {}) => ({ HF_ENDPOINT: hub.endpoint, ...more });
    const asked = () =>
      hub.seen.filter(({ method }) => method === 'HEAD').map(({ url }) => url.replace('/resolve/main', ''));

    it('should fetch SDXL with a VAE that works in fp16 and the adapter, by default', async () => {
      const files = await resolve(env({ DATA_DIR: relative(process.cwd(), join(root, 'data')) }));
      expect(files.name).toBe('stabilityai/stable-diffusion-xl-base-1.0');
      expect(asked()).toEqual([
        '/madebyollin/sdxl-vae-fp16-fix/sdxl_vae.safetensors',
        '/h94/IP-Adapter/sdxl_models/ip-adapter_sdxl_vit-h.safetensors',
        '/h94/IP-Adapter/models/image_encoder/model.safetensors',
        '/stabilityai/stable-diffusion-xl-base-1.0/sd_xl_base_1.0.safetensors',
      ]);
      // DATA_DIR is relative by default; the engine's process may stand elsewhere.
      const paths = [files.checkpoint, files.vae, files.ipAdapter, files.clipVision];
      expect(
        paths.every((path) => isAbsolute(path ?? '') && path?.startsWith(join(root, 'data/models'))),
      ).toBe(true);
    });

    it('should start again without a network', async () => {
      const variables = env();
      const first = await resolve(variables);
      await hub.stop();
      expect(await resolve(variables)).toEqual(first);
    });

    it('should keep another model’s own VAE', async () => {
      const files = await resolve(
        env({
          MODEL_PATH: 'owner/name@v1:sdxl_vae.safetensors',
          ENABLE_IP_ADAPTER: 'false',
          HF_HOME: join(root, 'hf'),
        }),
      );
      expect(files.name).toBe('owner/name');
      expect(files.vae).toBeUndefined();
      expect(basename(files.checkpoint)).toBe('sdxl_vae.safetensors');
      expect(files.checkpoint.startsWith(join(root, 'hf'))).toBe(true);
      expect(hub.seen[0].url).toBe('/owner/name/resolve/v1/sdxl_vae.safetensors');
    });

    it('should take the address of a file, as browsers show it', async () => {
      const more = { ENABLE_IP_ADAPTER: 'false' };
      for (const host of [hub.endpoint, 'https://huggingface.co']) {
        const files = await resolve(
          env({ ...more, MODEL_PATH: `${host}/owner/name/blob/v1/sdxl_vae.safetensors?download=true` }),
        );
        expect([files.name, basename(files.checkpoint)]).toEqual(['owner/name', 'sdxl_vae.safetensors']);
      }
      expect(hub.seen[0].url).toBe('/owner/name/resolve/v1/sdxl_vae.safetensors');
      const page = resolve(env({ ...more, MODEL_PATH: `${hub.endpoint}/owner/name/discussions/1` }));
      await expect(page).rejects.toThrow(/^MODEL_PATH must be "demo", a folder/);
    });

    it('should say whose default cannot be had', async () => {
      hub.files.delete('models/image_encoder/model.safetensors');
      await expect(resolve(env())).rejects.toThrow(
        /^CLIP_VISION_PATH \(its default\): the model hub has no such/,
      );
    });
  });

  it('should offer the demo with its adapter and LoRAs', async () => {
    // A first start unpacks into DEMO_CACHE; demo.spec.ts looks at that.
    const files = await new ModelsService(config({ MODEL_PATH: 'demo' })).resolve();
    const cache = join(root, 'data/demo');
    expect(files).toEqual({
      name: 'demo',
      checkpoint: join(cache, 'demo.safetensors'),
      vae: undefined,
      ipAdapter: join(cache, 'demo-ip-adapter.safetensors'),
      clipVision: join(cache, 'demo-clip-vision.safetensors'),
      loraDir: join(demoFolder(), 'loras'),
    });
  }, 60_000);
});
