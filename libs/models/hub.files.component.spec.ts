import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  statfs,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSafeServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../../test/support/certificate';
import { until } from '../../test/support/eventually';
import { COMMIT, type Fault, HubServer } from '../../test/support/hub.server';
import { HubClient } from './hub.client';
import { HubFiles } from './hub.files';
import type { ModelProgress } from './model.progress';

const MODEL = randomBytes(300_000);
const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const sumOf = async (path: string) => sum(await readFile(path));
const SHA256 = sum(MODEL);
const FILE = { repo: 'owner/name', revision: 'main', path: 'model.safetensors' };
const BLOBS = 'hub/models--owner--name/blobs';

describe(HubFiles.name, () => {
  let hub: HubServer;
  let home: string;
  let progress: ModelProgress[];
  const clients: HubClient[] = [];

  beforeEach(async () => {
    hub = await HubServer.start({ 'model.safetensors': MODEL });
    home = await mkdtemp(join(tmpdir(), 'hub-'));
    progress = [];
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    await hub.stop();
    await rm(home, { recursive: true });
  });

  function files(token?: string, rangeBytes?: number): HubFiles {
    const client = new HubClient({ endpoint: hub.endpoint, token, retryDelayMs: 1, rangeBytes });
    clients.push(client);
    return new HubFiles(client, home);
  }
  const get = (reference: Parameters<HubFiles['get']>[0] = FILE, token?: string) =>
    files(token).get(reference, 'MODEL_PATH', (x) => progress.push(x));
  const left = () => readdir(join(home, BLOBS));
  async function leave(bytes: Buffer): Promise<void> {
    await mkdir(join(home, BLOBS), { recursive: true });
    // No process has this number: it is above the kernel's limit.
    await writeFile(join(home, BLOBS, `${SHA256}.${hostname()}.4194305.0.part`), bytes);
  }

  it('should download a file, tell the progress and leave nothing half done', async () => {
    const path = await get();
    expect(path).toBe(join(home, 'hub/models--owner--name/snapshots', COMMIT, 'model.safetensors'));
    expect(await sumOf(path)).toBe(SHA256);
    expect(await left()).toEqual([SHA256]);
    expect(progress.at(-1)).toMatchObject({
      phase: 'download',
      file: 'model.safetensors',
      done: 300_000,
      total: 300_000,
    });
  });

  it('should need no network for what is there', async () => {
    const path = await get();
    await hub.stop();
    expect(await get()).toBe(path);
  });

  it('should use a cache that the hub’s own libraries filled', async () => {
    const repo = join(home, 'hub/models--owner--name');
    await mkdir(join(repo, 'refs'), { recursive: true });
    await mkdir(join(repo, 'snapshots/abc'), { recursive: true });
    await writeFile(join(repo, 'refs/main'), 'abc');
    await writeFile(join(repo, 'snapshots/abc/model.safetensors'), 'weights');
    expect(await readFile(await get(), 'utf8')).toBe('weights');
    expect(hub.seen).toEqual([]);
  });

  it('should go on where a connection broke', async () => {
    hub.faults.push({ cut: 100_000 }, { cut: 50_000 });
    expect(await sumOf(await get())).toBe(SHA256);
    const starts = hub.downloads.map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]));
    expect(starts).toHaveLength(3);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBeGreaterThan(starts[1]);
  });

  it('should go on with what an earlier process left, after hashing it', async () => {
    await leave(MODEL.subarray(0, 200_000));
    expect(await sumOf(await get())).toBe(SHA256);
    expect(hub.downloads.map(({ range }) => range)).toEqual(['bytes=200000-299999']);
    expect(progress).toContainEqual({
      phase: 'verify',
      file: 'model.safetensors',
      done: 200_000,
      total: 200_000,
    });
    expect(await left()).toEqual([SHA256]);
  });

  it('should leave the part of a living process alone', async () => {
    await mkdir(join(home, BLOBS), { recursive: true });
    const busy = `${SHA256}.${hostname()}.${process.ppid}.0.part`;
    await writeFile(join(home, BLOBS, busy), MODEL.subarray(0, 1000));
    await get();
    expect(hub.downloads[0].range).toMatch(/^bytes=0-/);
    expect((await left()).sort()).toEqual([SHA256, busy].sort());
  });

  it('should start over when the server knows no ranges', async () => {
    await leave(MODEL.subarray(0, 200_000));
    hub.faults.push('whole');
    expect(await sumOf(await get())).toBe(SHA256);
    expect(hub.downloads).toHaveLength(1);
  });

  it('should keep what came when the network stays away, and say so', async () => {
    hub.faults.push({ cut: 100_000 }, ...new Array<{ cut: number }>(20).fill({ cut: 0 }));
    await expect(get()).rejects.toThrow(
      /^MODEL_PATH: the download .* broke off at \d+ of 300000 bytes.*continues from there/,
    );
    hub.faults.length = 0;
    const before = hub.downloads.length;
    expect(await sumOf(await get())).toBe(SHA256);
    expect(hub.downloads[before].range).toMatch(/^bytes=[1-9]\d*-299999$/);
  });

  it.each([503, 429, 500])('should try again after %i from the hub or the CDN', async (status) => {
    hub.hubStatuses.push(status);
    hub.faults.push({ status });
    expect(await sumOf(await get())).toBe(SHA256);
  });

  it('should fetch damaged bytes once more, then give up without keeping them', async () => {
    hub.faults.push('damaged');
    expect(await sumOf(await get())).toBe(SHA256);
    hub.files.set('other.safetensors', randomBytes(1000));
    hub.faults.push('damaged', 'damaged');
    await expect(get({ ...FILE, path: 'other.safetensors' })).rejects.toThrow(
      /MODEL_PATH: .*came damaged twice/,
    );
    expect(await left()).toEqual([SHA256]);
  });

  it('should start a new part when the file changed on the hub', async () => {
    hub.faults.push({ cut: 100_000 }, ...new Array<{ cut: number }>(20).fill({ cut: 0 }));
    await expect(get()).rejects.toThrow();
    hub.faults.length = 0;
    const changed = randomBytes(200_000);
    hub.files.set('model.safetensors', changed);
    hub.commit = COMMIT.replaceAll('0', 'f');
    expect(await sumOf(await get())).toBe(sum(changed));
  });

  it('should let two fetch the same file at once', async () => {
    const paths = await Promise.all([get(), get(), get()]);
    expect(new Set(paths).size).toBe(1);
    expect(await sumOf(paths[0])).toBe(SHA256);
    expect(await left()).toEqual([SHA256]);
  });

  it('should send the token to the hub and never to the CDN', async () => {
    hub.token = 'secret-token';
    await get({ repo: 'owner/name', revision: 'main' }, 'secret-token');
    const sent = (host: string) => hub.seen.filter((x) => x.host === host).map((x) => x.authorization);
    expect(new Set(sent('hub'))).toEqual(new Set(['Bearer secret-token']));
    expect(new Set(sent('cdn'))).toEqual(new Set([undefined]));
  });

  it('should say what to do about a gated repository, without the token', async () => {
    hub.token = 'right';
    await expect(get()).rejects.toThrow('set HF_TOKEN to a token that has access');
    const error = await get(FILE, 'wrong-token').catch((x: Error) => x);
    expect((error as Error).message).toMatch(/HF_TOKEN has no access: accept the licence/);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('wrong-token');
  });

  it.each<[number, string, string | undefined, RegExp]>([
    [
      403,
      'GatedRepo',
      'token',
      /the repository is gated: accept its licence on its page, with the account of HF_TOKEN/,
    ],
    [
      401,
      'GatedRepo',
      undefined,
      /the repository is gated: accept its licence .* set HF_TOKEN to a token of that/,
    ],
    [404, 'RevisionNotFound', undefined, /no such revision/],
    [404, 'EntryNotFound', undefined, /no such file in this revision/],
    [401, 'RepoNotFound', undefined, /private, gated or does not exist; set HF_TOKEN/],
  ])('should tell the hub’s own reason: %i %s', async (status, code, token, message) => {
    hub.refusal = { status, 'x-error-code': code };
    await expect(get(FILE, token)).rejects.toThrow(message);
  });

  it('should say that the token is no longer known', async () => {
    hub.refusal = { status: 401, 'x-error-message': 'Invalid credentials in Authorization header' };
    await expect(get(FILE, 'old')).rejects.toThrow(
      /^MODEL_PATH: the hub does not know HF_TOKEN \(any more\)/,
    );
  });

  it('should say that the file or repository is not there', async () => {
    await expect(get({ ...FILE, path: 'absent.safetensors' })).rejects.toThrow(
      /^MODEL_PATH: the model hub has no such repository, revision or file/,
    );
  });

  it('should say that the hub cannot be reached', async () => {
    await hub.stop();
    await expect(get()).rejects.toThrow(/^MODEL_PATH: the model hub could not be reached \(ECONNREFUSED\)/);
  });

  it('should choose the only checkpoint, and remember it without a network', async () => {
    hub.files.set('vae/diffusion.safetensors', Buffer.from('x')).set('README.md', Buffer.from('x'));
    const whole = { repo: 'owner/name', revision: 'main' };
    const path = await get(whole);
    expect(path).toMatch(/model\.safetensors$/);
    await hub.stop();
    expect(await get(whole)).toBe(path);
  });

  it('should list the candidates when it cannot choose', async () => {
    hub.files.set('other.safetensors', Buffer.from('x'));
    await expect(get({ repo: 'owner/name', revision: 'main' })).rejects.toThrow(
      /owner\/name:FILE.*model\.safetensors, other\.safetensors/,
    );
  });

  it('should say that a diffusers repository has no single file', async () => {
    hub.files.clear();
    hub.files.set('unet/model.safetensors', Buffer.from('x')).set('model_index.json', Buffer.from('{}'));
    await expect(get({ repo: 'owner/name', revision: 'main' })).rejects.toThrow(
      /no single-file checkpoint .*as diffusers saves it/,
    );
  });

  it('should say that the disk is full', async () => {
    // The part that this process would write next is a link to a device on which every write finds no room.
    await mkdir(join(home, BLOBS), { recursive: true });
    const next = (n: number) => join(home, BLOBS, `${SHA256}.${hostname()}.${process.pid}.${n}.part`);
    for (let n = 0; n < 200; n++) await symlink('/dev/full', next(n));
    await expect(get()).rejects.toThrow(/^The disk of HF_HOME's folder is full: free some space/);
  });

  describe('in ranges', () => {
    const RANGE = 50_000;
    const inRanges = () => files(undefined, RANGE).get(FILE, 'MODEL_PATH', (x) => progress.push(x));
    const starts = () => hub.downloads.map(({ range }) => Number(/\d+/.exec(range!)![0]));
    /** Once: the range that begins at `start` has this fault. */
    const failAt = (start: number, fault: Fault) => {
      hub.faultOf = (range) => {
        if (!range?.startsWith(`bytes=${start}-`)) return undefined;
        hub.faultOf = undefined;
        return fault;
      };
    };

    it('should ask for four at once, and write them in their order', async () => {
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      // The second range comes only when the fourth was asked for.
      hub.held = ({ range }) => (range?.startsWith('bytes=50000-') ? held : undefined);
      const got = inRanges();
      await until(() => hub.downloads.length === 4);
      release();
      expect(await sumOf(await got)).toBe(SHA256);
      expect(starts()).toEqual([0, 50_000, 100_000, 150_000, 200_000, 250_000]);
      expect(progress.at(-1)).toMatchObject({ done: 300_000, total: 300_000 });
    });

    it('should keep what came before a range that broke, and go on with it', async () => {
      failAt(100_000, { cut: 20_000 });
      expect(await sumOf(await inRanges())).toBe(SHA256);
      expect(starts().filter((start) => start < 100_000)).toEqual([0, 50_000]);
    });

    it('should not take a range for more than it is', async () => {
      failAt(50_000, { short: 10 });
      expect(await sumOf(await inRanges())).toBe(SHA256);
      expect(starts().filter((start) => start < 50_000)).toEqual([0]);
    });

    it('should begin anew where a later range is answered with all of the file', async () => {
      failAt(50_000, 'whole');
      expect(await sumOf(await inRanges())).toBe(SHA256);
    });

    it('should refuse a range that is longer than was asked for', async () => {
      hub.faultOf = (range) => (range?.startsWith('bytes=50000-') ? { short: -10 } : undefined);
      await expect(inRanges()).rejects.toThrow(/more bytes for model\.safetensors than were asked for/);
    });
  });

  describe('with several files', () => {
    const SMALL = { ...FILE, path: 'small.safetensors' };
    const prepared = (first: HubFiles) =>
      first.prepare([SMALL, FILE].map((reference) => ({ reference, variable: reference.path })));
    beforeEach(() => hub.files.set('small.safetensors', randomBytes(100_000)));

    it('should tell how far all of them are', async () => {
      await leave(MODEL.subarray(0, 200_000));
      const both = files();
      await prepared(both);
      for (const reference of [SMALL, FILE]) {
        await both.get(reference, 'MODEL_PATH', (x) => progress.push(x));
      }
      const all = progress.flatMap((one) => one.all ?? []);
      expect(all.every(({ files, total }) => files === 2 && total === 400_000)).toBe(true);
      const first = all.filter(({ file }) => file === 1);
      // what an earlier run left counts from the start
      expect(first[0].done).toBeGreaterThan(200_000);
      expect(first.at(-1)?.done).toBe(300_000);
      expect(all.at(-1)).toMatchObject({ file: 2, done: 400_000 });
    });

    it('should notice a file that does not exist before the first byte of another', async () => {
      hub.files.delete('model.safetensors');
      await expect(prepared(files())).rejects.toThrow(/^model\.safetensors: the model hub has no such/);
      expect(hub.downloads).toEqual([]);
    });

    it('should ask about each file once', async () => {
      const both = files();
      await prepared(both);
      for (const reference of [SMALL, FILE]) await both.get(reference, 'MODEL_PATH', () => undefined);
      expect(hub.seen.filter(({ method }) => method === 'HEAD')).toHaveLength(2);
    });

    it('should say before the first byte that the disk has too little room for all of them', async () => {
      const { bavail, bsize } = await statfs(home);
      const client = new HubClient({ endpoint: hub.endpoint });
      clients.push(client);
      // Each fits by itself.
      const size = Math.ceil(0.7 * bavail * bsize);
      jest.spyOn(client, 'describe').mockImplementation(({ repo, path }) => {
        const etag = sum(Buffer.from(path));
        return Promise.resolve({ ...{ repo, path, commit: COMMIT, size, etag } });
      });
      await expect(prepared(new HubFiles(client, home))).rejects.toThrow(
        new RegExp(`needs ${((2 * size) / 1e9).toFixed(1)} GB .* set HF_HOME`),
      );
      expect(hub.downloads).toEqual([]);
    });

    it('should not count what an earlier process left as room that is needed', async () => {
      await leave(Buffer.alloc(0));
      const [part] = await left();
      await truncate(join(home, BLOBS, part), 20e9); // takes no room itself
      const { bavail, bsize } = await statfs(home);
      const client = new HubClient({ endpoint: hub.endpoint });
      clients.push(client);
      const size = bavail * bsize + 10e9;
      jest.spyOn(client, 'describe').mockResolvedValue({ ...FILE, commit: COMMIT, size, etag: SHA256 });
      await new HubFiles(client, home).prepare([{ reference: FILE, variable: 'MODEL_PATH' }]);
    });
  });

  describe('through a mirror', () => {
    const closing: (() => unknown)[] = [];
    afterEach(() => closing.splice(0).forEach((close) => close()));

    async function mirror(answer: RequestListener, token?: string): Promise<HubFiles> {
      const server = createServer(answer);
      closing.push(
        () => server.close(),
        () => server.closeAllConnections(),
      );
      await once(server.listen(0, '127.0.0.1'), 'listening');
      return at(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, token);
    }
    function at(endpoint: string, token?: string): HubFiles {
      const client = new HubClient({ endpoint, token, retryDelayMs: 1 });
      clients.push(client);
      return new HubFiles(client, home);
    }
    const fetched = async (files: HubFiles) => sumOf(await files.get(FILE, 'MODEL_PATH', () => undefined));
    const ETAG = { etag: `"${SHA256}"` };
    const whole: RequestListener = (_request, reply) => reply.writeHead(200, ETAG).end(MODEL);

    it('should follow one that redirects everything to the hub', async () => {
      const files = await mirror((request, reply) => {
        // With a length of its own, which is none of the file's.
        reply.writeHead(308, { location: hub.endpoint + request.url!, 'content-length': 9, etag: '"own"' });
        reply.end(request.method === 'HEAD' ? undefined : 'elsewhere');
      }, 'secret-token');
      expect(await fetched(files)).toBe(SHA256);
      expect(hub.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    });

    it('should name what to change where the hub wants a token that the mirror got', async () => {
      hub.token = 'right';
      const redirect: RequestListener = (request, reply) =>
        reply.writeHead(302, { location: hub.endpoint + request.url! }).end();
      await expect(fetched(await mirror(redirect, 'right'))).rejects.toThrow(
        /^MODEL_PATH: the host to which HF_ENDPOINT redirects refused \(401\)\. .*set HF_ENDPOINT to the hub itself/,
      );
    });

    it.each<[string, RequestListener]>([
      [
        'has no length',
        (_request, reply) => reply.writeHead(200, { ...ETAG, 'transfer-encoding': 'chunked' }).end(),
      ],
      [
        'has a length of nothing',
        (_request, reply) => reply.writeHead(200, { ...ETAG, 'content-length': 0 }).end(),
      ],
      ['is not allowed', (_request, reply) => reply.writeHead(405).end()],
    ])('should learn the size from the first byte where the reply to HEAD %s', async (_what, head) => {
      const files = await mirror((request, reply) => {
        if (request.method === 'HEAD') return head(request, reply);
        reply.setHeader('content-length', MODEL.length);
        whole(request, reply);
      });
      expect(await fetched(files)).toBe(SHA256);
    });

    it('should say what it lacks', async () => {
      await expect(fetched(await mirror(whole))).rejects.toThrow(
        /HF_ENDPOINT does not tell the file's size and ETag/,
      );
    });

    it.each([
      [undefined, /too many requests from here \(429\): wait some minutes, or set HF_TOKEN/],
      ['token', /too many requests from here \(429\): wait some minutes\. /],
    ])('should say that there were too many requests (token: %s)', async (token, message) => {
      const files = await mirror((_request, reply) => reply.writeHead(429).end(), token);
      await expect(fetched(files)).rejects.toThrow(message);
    });

    it('should name the variable for a certificate of an own authority', async () => {
      const { key, cert } = makeCertificate(home);
      const server = createSafeServer({ key: await readFile(key), cert: await readFile(cert) }, whole);
      closing.push(() => server.close());
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const files = at(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
      await expect(fetched(files)).rejects.toThrow(/DEPTH_ZERO_SELF_SIGNED_CERT.*NODE_EXTRA_CA_CERTS/);
    });
  });
});
