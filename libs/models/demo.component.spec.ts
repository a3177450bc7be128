import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { safetensors } from '../../test/support/safetensors';
import { demoFolder, unpackDemo } from './demo';
import { listLoras } from './loras';
import type { ModelProgress } from './model.progress';
import { readSafetensors } from './safetensors';

const NAMES = ['demo.safetensors', 'demo-ip-adapter.safetensors', 'demo-clip-vision.safetensors'];
const WEIGHTS = safetensors({ weight: { shape: [5000], values: Array.from({ length: 5000 }, (_, i) => i) } });
const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

const sums = (unpacked: string, packed: string) =>
  NAMES.map((name) => `${unpacked}  ${name}\n${packed}  ${name}.gz\n`).join('');

describe(unpackDemo.name, () => {
  let root: string;
  let packed: string;
  let cache: string;
  let progress: ModelProgress[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'demo-'));
    packed = join(root, 'packed');
    cache = join(root, 'cache');
    progress = [];
    await mkdir(packed);
    const gz = gzipSync(WEIGHTS);
    await writeFile(join(packed, 'SHA256SUMS'), sums(sum(WEIGHTS), sum(gz)));
    for (const name of NAMES) await writeFile(join(packed, `${name}.gz`), gz);
  });
  afterEach(() => rm(root, { recursive: true }));

  const unpack = () => unpackDemo(cache, (x) => progress.push(x), packed);
  const demo = () => join(cache, 'demo.safetensors');

  it('should unpack all three files and tell the progress', async () => {
    const files = await unpack();
    expect(files).toEqual({
      checkpoint: demo(),
      ipAdapter: join(cache, 'demo-ip-adapter.safetensors'),
      clipVision: join(cache, 'demo-clip-vision.safetensors'),
    });
    for (const file of [files.checkpoint, files.ipAdapter, files.clipVision])
      expect(sum(await readFile(file))).toBe(sum(WEIGHTS));
    const total = (await stat(join(packed, 'demo.safetensors.gz'))).size;
    expect(progress).toContainEqual({ phase: 'unpack', file: 'demo.safetensors', done: total, total });
    expect((await readdir(cache)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('should not unpack again', async () => {
    await unpack();
    const before = await stat(demo());
    progress = [];
    await unpack();
    expect(progress).toEqual([]);
    expect((await stat(demo())).ino).toBe(before.ino);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['cut', () => truncate(demo(), 100)],
    ['changed', () => utimes(demo(), 1, 1)],
    ['removed', () => rm(demo())],
    ['of another version', () => writeFile(`${demo()}.unpacked`, `${'0'.repeat(64)} 20000 1\n`)],
  ])('should repair a file that was %s', async (_what, harm) => {
    await unpack();
    await harm();
    progress = [];
    await unpack();
    expect(new Set(progress.map(({ file }) => file))).toEqual(new Set(['demo.safetensors']));
    expect(sum(await readFile(demo()))).toBe(sum(WEIGHTS));
  });

  it('should start over what a dead process left', async () => {
    await mkdir(cache);
    // No process has this number: it is above the kernel's limit.
    await writeFile(`${demo()}.${hostname()}.4194305.0.part`, 'half');
    await unpack();
    expect(sum(await readFile(demo()))).toBe(sum(WEIGHTS));
    expect((await readdir(cache)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('should let several unpack at once', async () => {
    await Promise.all([unpack(), unpack(), unpack()]);
    expect(sum(await readFile(demo()))).toBe(sum(WEIGHTS));
    progress = [];
    await unpack();
    expect(progress).toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['is cut', () => truncate(join(packed, 'demo.safetensors.gz'), 1000)],
    [
      'holds other weights',
      () => writeFile(join(packed, 'demo.safetensors.gz'), gzipSync(Buffer.from('other'))),
    ],
    [
      'unpacks to something else',
      () => writeFile(join(packed, 'SHA256SUMS'), sums(sum(Buffer.from('other')), sum(gzipSync(WEIGHTS)))),
    ],
    [
      'is no gzip',
      () => writeFile(join(packed, 'demo.safetensors.gz'), 'version https://git-lfs.github.com'),
    ],
  ])('should say so when the packed file %s, and keep nothing', async (_what, harm) => {
    await harm();
    await expect(unpack()).rejects.toThrow(/^MODEL_PATH=demo: demo\.safetensors\.gz is damaged/);
    expect(await readdir(cache)).toEqual([]);
  });

  it('should say that the disk is full', async () => {
    await mkdir(cache);
    // The part that this process would write next is a link to a device on which every write finds no room.
    for (let n = 0; n < 200; n++)
      await symlink('/dev/full', `${demo()}.${hostname()}.${process.pid}.${n}.part`);
    await expect(unpack()).rejects.toThrow(/^The disk of DEMO_CACHE's folder is full/);
  });
});

describe('The demo', () => {
  let cache: string;

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'demo-real-'));
    // Small next to what it checks, so the whole is unpacked once for all tests here.
    await unpackDemo(cache, () => undefined);
  }, 60_000);
  afterAll(() => rm(cache, { recursive: true }));

  it('should hold an SDXL checkpoint in the layout that the engine reads', async () => {
    const { tensors } = await readSafetensors(join(cache, 'demo.safetensors'));
    expect(tensors.get('model.diffusion_model.input_blocks.0.0.weight')?.shape).toEqual([64, 4, 3, 3]);
    expect(tensors.has('v_pred')).toBe(true);
  });

  it('should have a LoRA that its script makes, byte for byte', async () => {
    const made = join(cache, 'night.safetensors');
    const script = join(demoFolder(), 'make-lora.mjs');
    await promisify(execFile)(process.execPath, [script, join(cache, 'demo.safetensors'), made]);
    expect(sum(await readFile(made))).toBe(
      sum(await readFile(join(demoFolder(), 'loras/night.safetensors'))),
    );
  }, 60_000);

  it('should have LoRA layers that the UNet has, in its shapes', async () => {
    const { tensors: model } = await readSafetensors(join(cache, 'demo.safetensors'));
    const shapes = new Map([...model].map(([name, { shape }]) => [loraName(name), shape]));
    const [lora] = await listLoras(join(demoFolder(), 'loras'));
    expect(lora).toMatchObject({ name: 'night', tensors: 48 });
    const { tensors } = await readSafetensors(lora.path);
    for (const [name, { shape }] of tensors) {
      const [layer, part] = name.split('.');
      if (part === 'lora_down') expect([name, shape[1]]).toEqual([name, shapes.get(layer)?.[1]]);
      if (part === 'lora_up') expect([name, shape[0]]).toEqual([name, shapes.get(layer)?.[0]]);
    }
  });
});

const loraName = (tensor: string) =>
  `lora_unet_${tensor
    .replace('model.diffusion_model.', '')
    .replace(/\.weight$/, '')
    .replaceAll('.', '_')}`;
