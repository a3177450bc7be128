import { buffer } from 'node:stream/consumers';
import type { ObjectInfo, Storage } from './storage';

const PNG = 'image/png';
/** Large enough to come in many pieces over a socket or from a disk. */
const LARGE = 3 * 1024 * 1024;

/** A test's title says which key, long ones by their beginning. */
const titled = (key: string) => [JSON.stringify(key.slice(0, 40)), key];

/** What every storage does. `make` hands over an empty one for each test. */
export function storageContract(name: string, make: () => Promise<Storage>): void {
  describe(`${name} keeps the contract of Storage`, () => {
    let storage: Storage;

    beforeEach(async () => {
      storage = await make();
    });

    const put = (key: string, text = key) => storage.put(key, Buffer.from(text), PNG);
    const text = async (key: string) => (await storage.read(key, LARGE))?.toString();
    const collect = async (prefix: string) => {
      const found: ObjectInfo[] = [];
      for await (const object of storage.list(prefix)) found.push(object);
      return found;
    };
    const keys = async (prefix: string) => (await collect(prefix)).map(({ key }) => key).sort();

    it('should give back the bytes that were put', async () => {
      const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      await storage.put('avatars/bob.png', body, PNG);
      expect(await storage.read('avatars/bob.png', LARGE)).toEqual(body);
    });

    it('should stream an object with what is known of it', async () => {
      const start = Date.now();
      const body = Buffer.alloc(LARGE, 'picture');
      await storage.put('generated/1.png', body, PNG);
      const object = await storage.open('generated/1.png');
      expect(object).toMatchObject({ key: 'generated/1.png', size: LARGE });
      expect(object!.etag).toMatch(/^"[^"]+"$/);
      // S3 reports whole seconds.
      expect(object!.lastModified.getTime()).toBeGreaterThanOrEqual(start - 1000);
      expect(object!.lastModified.getTime()).toBeLessThanOrEqual(Date.now() + 1000);
      expect((await buffer(object!.body)).equals(body)).toBe(true);
    });

    it('should keep an object without bytes', async () => {
      await storage.put('empty.png', Buffer.alloc(0), PNG);
      expect(await storage.read('empty.png', 0)).toEqual(Buffer.alloc(0));
      const object = await storage.open('empty.png');
      expect(object!.size).toBe(0);
      expect(await buffer(object!.body)).toHaveLength(0);
      expect(await collect('')).toMatchObject([{ key: 'empty.png', size: 0 }]);
    });

    it('should replace an object', async () => {
      await put('a/b.png', 'a first and longer one');
      await put('a/b.png', 'second');
      expect(await text('a/b.png')).toBe('second');
      expect(await keys('')).toEqual(['a/b.png']);
    });

    it('should create an object where there is none, once', async () => {
      const create = (key: string, body: string) => storage.create(key, Buffer.from(body), PNG);
      expect(await create('a/b.png', 'first')).toBe(true);
      expect(await create('a/b.png', 'second')).toBe(false);
      expect(await text('a/b.png')).toBe('first');
      await storage.delete('a/b.png');
      expect(await create('a', 'of the name of a folder that is gone')).toBe(true);
      const tries = Array.from({ length: 8 }, (_, i) => create('contended.png', String(i)));
      const won = (await Promise.all(tries)).flatMap((wins, i) => (wins ? [String(i)] : []));
      expect([await text('contended.png')]).toEqual(won);
      expect(await keys('')).toEqual(['a', 'contended.png']);
    });

    it('should give each content of a key an ETag of its own, the same in list and open', async () => {
      const etags = new Set<string>();
      for (let version = 100; version < 150; version++) {
        await put('a.png', String(version));
        const object = await storage.open('a.png');
        object!.body.destroy();
        etags.add(object!.etag);
        expect(await collect('a.png')).toMatchObject([{ etag: object!.etag }]);
      }
      expect(etags.size).toBe(50);
    });

    it('should resolve to undefined for what is not there', async () => {
      await put('users/bob/photo.png');
      for (const key of ['nothing.png', 'users', 'users/bob', 'users/bob/photo.png/more']) {
        expect(await storage.open(key)).toBeUndefined();
        expect(await storage.read(key, LARGE)).toBeUndefined();
      }
    });

    it('should delete, also twice and what never was', async () => {
      await put('a/b.png');
      await put('a/c.png');
      await storage.delete('a/b.png');
      await storage.delete('a/b.png');
      await storage.delete('a');
      await storage.delete('never/was.png');
      expect(await storage.open('a/b.png')).toBeUndefined();
      expect(await keys('')).toEqual(['a/c.png']);
    });

    it('should take an object under the name of a folder whose objects are gone', async () => {
      await put('a/b/c/d.png');
      await storage.delete('a/b/c/d.png');
      await put('a/b', 'object');
      expect(await text('a/b')).toBe('object');
    });

    it('should refuse to read past the limit', async () => {
      await storage.put('large.png', Buffer.alloc(LARGE), PNG);
      await expect(storage.read('large.png', LARGE - 1)).rejects.toMatchObject({ code: 'payload_too_large' });
      expect(await storage.read('large.png', LARGE)).toHaveLength(LARGE);
    });

    it('should list by plain string prefix', async () => {
      for (const key of [
        'avatars/bob',
        'avatars/bobby.png',
        'avatars/bob.d/x.png',
        'avatars/alice.png',
        'av',
      ])
        await put(key);
      expect(await keys('avatars/bob')).toEqual(['avatars/bob', 'avatars/bob.d/x.png', 'avatars/bobby.png']);
      expect(await keys('avatars/')).toHaveLength(4);
      expect(await keys('avatars/bob.d/')).toEqual(['avatars/bob.d/x.png']);
      expect(await keys('av')).toHaveLength(5);
      expect(await keys('')).toHaveLength(5);
      for (const prefix of ['avatars/bob/', 'avatars/z', 'nothing/', 'avatars/bob/x'])
        expect(await keys(prefix)).toEqual([]);
    });

    it('should let a listing be left early', async () => {
      await Promise.all(['a', 'b', 'c'].map((key) => put(key)));
      for await (const { key } of storage.list('')) {
        expect(['a', 'b', 'c']).toContain(key);
        break;
      }
    });

    it.each(
      [
        'a b/c d.png',
        ' leading and trailing ',
        'a+b.png',
        '100%.png',
        '%2e%2e/x',
        '%41.png',
        'naïve/Ünïcode 图片 😀.png',
        `decomposed e\u0301.png`,
        'a&b<c>"d\'e.png',
        'q?x=1#y;z=2,3.png',
        '..x/...y/.z',
        'user@host.example/~x!$()*=:|^`{}[]',
        `${'s'.repeat(255)}/${'é'.repeat(127)}`,
        `${'long/'.repeat(204)}four`,
      ].map(titled),
    )('should keep the key %s apart from all others', async (_title, key) => {
      await put('other', 'other');
      await put(key, 'this');
      expect(await text(key)).toBe('this');
      expect(await keys(key.slice(0, -1))).toEqual([key]);
      expect(await keys('')).toContain(key);
      await storage.delete(key);
      expect(await keys('')).toEqual(['other']);
    });

    it.each(
      [
        '',
        '/',
        '/etc/passwd',
        'a/',
        'a//b',
        '.',
        '..',
        './a',
        'a/./b',
        '../a',
        'a/../../b',
        'a/..',
        'a\\b',
        '..\\a',
        'a\0b',
        'a\nb',
        'a\u007fb',
        'a\u0085b',
        'a\ud800b',
        'a\uffffb',
        'x'.repeat(256),
        'é'.repeat(128),
        `${'long/'.repeat(204)}fives`,
        '.tmp',
        '.tmp/a',
      ].map(titled),
    )('should refuse the key %s', async (_title, key) => {
      const refused = { name: 'ServiceError', code: 'invalid_request' };
      await expect(put(key, 'x')).rejects.toMatchObject(refused);
      await expect(storage.open(key)).rejects.toMatchObject(refused);
      await expect(storage.read(key, 1)).rejects.toMatchObject(refused);
      await expect(storage.delete(key)).rejects.toMatchObject(refused);
      expect(await keys('')).toEqual([]);
    });

    it.each(['/', '../', 'a/../', 'a//', './a', 'a\0', 'a\\', '.tmp/'])(
      'should refuse the prefix %j',
      async (prefix) => {
        await expect(keys(prefix)).rejects.toMatchObject({ code: 'invalid_request' });
      },
    );

    it('should let one of several writers win whole', async () => {
      const bodies = Array.from({ length: 8 }, (_, drafter) =>
        Buffer.alloc(LARGE / 4, `drafter ${drafter} `),
      );
      const whole = (seen: Buffer) => bodies.some((body) => body.equals(seen));
      await storage.put('contended.png', bodies[0], PNG);
      let writing = true;
      const writers = Promise.all(bodies.map((body) => storage.put('contended.png', body, PNG))).finally(
        () => {
          writing = false;
        },
      );
      let reads = 0;
      for (; writing || reads === 0; reads++)
        expect(whole((await storage.read('contended.png', LARGE))!)).toBe(true);
      await writers;
      expect(whole((await storage.read('contended.png', LARGE))!)).toBe(true);
      expect(await keys('')).toEqual(['contended.png']);
    });

    it('should survive puts, deletes and listings of neighbours at once', async () => {
      await Promise.all(
        Array.from({ length: 12 }, async (_, n) => {
          for (let round = 0; round < 10; round++) {
            await put(`users/${n % 2}/deep/${n}.png`);
            await keys('users/');
            await storage.delete(`users/${n % 2}/deep/${n}.png`);
          }
          await put(`users/${n % 2}/deep/${n}.png`);
        }),
      );
      expect(await keys('users/')).toHaveLength(12);
    });

    it('should find itself in order', async () => {
      await expect(storage.check()).resolves.toBeUndefined();
      expect(await keys('')).toEqual([]);
    });

    it('should name its objects in links', () => {
      expect(storage.uri('a/b.png')).toBe(`s3://${storage.bucket}/a/b.png`);
    });
  });
}
