import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeCertificate } from '../support/certificate';
import { until } from '../support/eventually';
import { HubServer } from '../support/hub.server';

const MAIN = resolve('dist/apps/models/src/main.js');
const MODEL = randomBytes(40_000_000);
const VAE = randomBytes(1_000_000);
const NAME = 'owner/name:model.safetensors';
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** `npm run models`, as it was built. */
describe('models', () => {
  let hub: HubServer;
  let home: string;

  beforeEach(async () => {
    hub = await HubServer.start({ 'model.safetensors': MODEL, 'vae.safetensors': VAE });
    home = await mkdtemp(join(tmpdir(), 'models-'));
  });
  afterEach(async () => {
    await hub.stop();
    await rm(home, { recursive: true });
  });

  function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const variables = { PATH: process.env.PATH, HF_HOME: home, HF_ENDPOINT: hub.endpoint, MODEL_PATH: NAME };
    const settings = { ENABLE_IP_ADAPTER: 'false', DATA_DIR: join(home, 'data'), ...env };
    return spawn(process.execPath, [MAIN, ...args], { cwd: home, env: { ...variables, ...settings } });
  }
  async function run(args: readonly string[], env?: NodeJS.ProcessEnv) {
    const child = start(args, env);
    const texts = { out: '', err: '' };
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (texts.out += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (texts.err += text));
    const [code] = (await once(child, 'close')) as [number];
    return { code, ...texts };
  }
  const blob = (bytes: Buffer) => join(home, 'hub/models--owner--name/blobs', sha256(bytes));

  it('should go on where it was, ten times killed, and fetch nothing again that reached the disk', async () => {
    hub.pace = 65_536;
    const folder = join(home, 'hub/models--owner--name/blobs');
    const onDisk = async () => {
      const parts = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.part'));
      // One that is taken over has another name a moment later.
      const sizes = await Promise.all(
        parts.map((name) =>
          stat(join(folder, name)).then(
            ({ size }) => size,
            () => 0,
          ),
        ),
      );
      return Math.max(0, ...sizes);
    };
    let [reached, kills] = [0, 0];
    for (; kills < 10; kills++) {
      const next = reached + randomInt(1, Math.floor((MODEL.length - reached) / (11 - kills)));
      const asked = hub.downloads.length;
      const child = start(['pull', NAME]);
      await until(async () => (await onDisk()) >= next);
      child.kill('SIGKILL');
      await once(child, 'close');
      expect(hub.downloads[asked].range).toMatch(new RegExp(`^bytes=${reached}-`));
      reached = await onDisk();
      expect(reached).toBeLessThan(MODEL.length);
    }
    const asked = hub.downloads.length;
    expect(await run(['pull', NAME])).toMatchObject({ code: 0 });
    expect(hub.downloads[asked].range).toMatch(new RegExp(`^bytes=${reached}-`));
    expect(sha256(await readFile(blob(MODEL)))).toBe(sha256(MODEL));
    expect(await readdir(folder)).toEqual([sha256(MODEL)]);
  }, 120_000);

  it('should pull what the variables ask for, list it, and keep what they use', async () => {
    const pulled = await run(['pull'], { VAE_PATH: 'owner/name:vae.safetensors' });
    // Random bytes are no weights, which the service would say as it starts.
    expect(pulled.err).toMatch(/VAE_PATH/);
    await run(['pull', NAME, 'owner/name:vae.safetensors']);
    const { out } = await run(['list']);
    expect(out).toMatch(/40\.0 MB {2}owner\/name:model\.safetensors \(main, 0123456\) {2}<- MODEL_PATH\n/);
    expect(out).toMatch(/1\.0 MB {2}owner\/name:vae\.safetensors \(main, 0123456\)\n/);
    expect(out).toMatch(/41\.0 MB {2}in /);
    const kept = await run(['rm', NAME]);
    expect(kept).toMatchObject({
      code: 1,
      err: expect.stringMatching(/MODEL_PATH asks for: with --force/) as string,
    });
    const asPhotoMaker = { PHOTO_MAKER_PATH: 'owner/name:vae.safetensors' };
    expect((await run(['list'], asPhotoMaker)).out).toMatch(/vae\.safetensors .* <- PHOTO_MAKER_PATH\n/);
    expect(await run(['rm', 'owner/name:vae.safetensors'], asPhotoMaker)).toMatchObject({ code: 1 });
    expect(await run(['rm', 'owner/name:vae.safetensors'])).toMatchObject({ code: 0 });
    await expect(stat(blob(VAE))).rejects.toThrow('ENOENT');
    expect(await run(['rm', '--force', 'owner/name'])).toMatchObject({ code: 0 });
    expect((await run(['list'])).out).toMatch(/^ +0\.0 MB {2}in .*\n$/);
  }, 60_000);

  it('should find a byte that changed', async () => {
    await run(['pull', NAME]);
    expect(await run(['verify'])).toMatchObject({ code: 0, out: `right    ${NAME}\n` });
    const bytes = Buffer.from(MODEL);
    bytes[20_000_000] ^= 1;
    await writeFile(blob(MODEL), bytes);
    expect(await run(['verify', NAME])).toMatchObject({
      code: 1,
      out: `DAMAGED  ${NAME}\n`,
      err: expect.stringMatching(/1 of 1 files are damaged/) as string,
    });
  }, 60_000);

  it('should ask nobody where that is forbidden, and take the token from its file', async () => {
    const offline = await run(['pull', NAME], { HF_HUB_OFFLINE: '1' });
    expect(offline).toMatchObject({
      code: 1,
      err: expect.stringMatching(/HF_HUB_OFFLINE forbids/) as string,
    });
    expect(hub.seen).toEqual([]);
    hub.token = 'from-a-file';
    expect(await run(['pull', NAME])).toMatchObject({ code: 1 });
    await writeFile(join(home, 'token'), 'from-a-file\n');
    expect(await run(['pull', NAME])).toMatchObject({ code: 0 });
    // What is there needs nobody.
    expect(await run(['pull', NAME], { HF_HUB_OFFLINE: '1' })).toMatchObject({ code: 0 });
  }, 60_000);

  it('should trust the certificate of a hub of its own where NODE_EXTRA_CA_CERTS names it', async () => {
    const { key, cert } = makeCertificate(home);
    const tls = { key: await readFile(key), cert: await readFile(cert) };
    const own = await HubServer.start({ 'model.safetensors': MODEL }, tls);
    try {
      const HF_ENDPOINT = own.endpoint;
      const strange = await run(['pull', NAME], { HF_ENDPOINT });
      expect(strange).toMatchObject({
        code: 1,
        err: expect.stringMatching(/SELF_SIGNED.*NODE_EXTRA_CA_CERTS/) as string,
      });
      expect(await run(['pull', NAME], { HF_ENDPOINT, NODE_EXTRA_CA_CERTS: cert })).toMatchObject({
        code: 0,
      });
      expect(own.downloads.length).toBeGreaterThan(0);
      expect(sha256(await readFile(blob(MODEL)))).toBe(sha256(MODEL));
    } finally {
      await own.stop();
    }
  }, 60_000);

  it.each([
    [['pull', 'nonsense'], /^Expected sdxl, plus, plus-face, or owner\/name/],
    [['rm', 'owner/other'], /owner\/other: no such file is here/],
    [['bake'], /unknown command 'bake'/],
  ])('should refuse %j in a sentence', async (args, message) => {
    const { code, err } = await run(args);
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });
});
