import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { ConfigModule, loadConfig } from '@app/config';
import { LocalStorage } from './local.storage';
import { S3Storage } from './s3.storage';
import { Storage } from './storage';
import { StorageModule } from './storage.module';

describe(StorageModule.name, () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'storage-module-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const start = (env: NodeJS.ProcessEnv) =>
    Test.createTestingModule({ imports: [ConfigModule.forRoot(loadConfig(env)), StorageModule] }).compile();

  it('should keep pictures under DATA_DIR when no bucket is named', async () => {
    const app = await start({ DATA_DIR: join(folder, 'data') });
    const storage = app.get(Storage);
    expect(storage).toBeInstanceOf(LocalStorage);
    expect(storage.uri('a.png')).toBe('s3://local/a.png');
    expect(await storage.presign('a.png', 60, 'image/png')).toBeUndefined();
    await expect(storage.check()).resolves.toBeUndefined();
    await app.close();
  });

  it('should keep pictures in the bucket when one is named, and let go of it on shutdown', async () => {
    const app = await start({
      DATA_DIR: folder,
      S3_BUCKET_NAME: 'pictures',
      S3_PUBLIC_ENDPOINT: 'http://s3',
    });
    const storage = app.get(Storage);
    expect(storage).toBeInstanceOf(S3Storage);
    expect(storage.uri('a.png')).toBe('s3://pictures/a.png');
    const { client, linkClient } = storage as unknown as Record<string, { destroy(): void }>;
    const [destroyed, linksDestroyed] = [jest.spyOn(client, 'destroy'), jest.spyOn(linkClient, 'destroy')];
    await app.close();
    expect(destroyed).toHaveBeenCalledTimes(1);
    expect(linksDestroyed).toHaveBeenCalledTimes(1);
  });

  it('should not start on a folder that cannot be used', async () => {
    await expect(start({ DATA_DIR: '/dev/null/data' })).rejects.toMatchObject({
      code: 'storage_unavailable',
      message: 'The local storage cannot start (ENOTDIR): DATA_DIR must be a folder.',
    });
  });
});
