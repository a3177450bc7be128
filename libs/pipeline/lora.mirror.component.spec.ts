import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Logger } from '@nestjs/common';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { loadConfig, type Config } from '@app/config';
import { S3Storage } from '@app/storage';
import { s3Client } from '../storage/s3.client';
import { describeWith } from '../../test/support/requires';
import { S3_GATEWAY, startS3Gateway, type S3Gateway } from '../../test/support/s3.gateway';
import { LoraMirror } from './lora.mirror';

const TYPE = 'application/octet-stream';

describeWith(S3_GATEWAY, LoraMirror.name, () => {
  let gateway: S3Gateway;
  let config: Config;
  let bucket: S3Storage;
  let mirror: LoraMirror;
  let data: string;
  const folder = () => join(data, 'loras');
  const files = () =>
    Object.fromEntries(loraFiles().map((file) => [file, readFileSync(join(folder(), file), 'utf8')]));
  const loraFiles = () => readdirSync(folder()).filter((file) => file !== '.objects.json');
  const put = (name: string, text: string) => bucket.put(`loras/${name}`, Buffer.from(text), TYPE);
  let buckets = 0;

  beforeAll(async () => {
    gateway = await startS3Gateway();
  }, 120_000);
  afterAll(() => gateway?.stop(), 30_000);

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'mirror-'));
    config = loadConfig({
      ...{ S3_ENDPOINT: gateway.endpoint, AWS_ACCESS_KEY_ID: gateway.accessKeyId },
      ...{ AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey, S3_BUCKET_NAME: `loras-${++buckets}` },
      ...{ LORA_S3_PREFIX: 'loras/', DATA_DIR: data },
    });
    const client = s3Client(config);
    await client.send(new CreateBucketCommand({ Bucket: config.S3_BUCKET_NAME }));
    bucket = new S3Storage(config.S3_BUCKET_NAME!, client);
    mirror = new LoraMirror(config, bucket);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await mirror.onApplicationShutdown();
    bucket.onApplicationShutdown();
    rmSync(data, { recursive: true });
  });

  it('should have what is directly below the prefix after its start, then what changes, and fetch nothing twice', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    const open = jest.spyOn(bucket, 'open');
    await put('film.safetensors', 'film');
    await put('night.safetensors', 'night');
    await put('README.md', 'words');
    await put('old/film.safetensors', 'old');
    await bucket.put('others/film.safetensors', Buffer.from('others'), TYPE);
    await mirror.start();
    expect(files()).toEqual({ 'film.safetensors': 'film', 'night.safetensors': 'night' });
    expect(warn.mock.calls).toEqual([[expect.stringContaining('old/film.safetensors is not offered')]]);

    await put('film.safetensors', 'moon');
    await put('day.safetensors', 'day');
    await bucket.delete('loras/night.safetensors');
    open.mockClear();
    expect(await mirror.refresh()).toBe(true);
    expect(files()).toEqual({ 'day.safetensors': 'day', 'film.safetensors': 'moon' });
    expect(open.mock.calls).toEqual([['loras/day.safetensors'], ['loras/film.safetensors']]);
    expect(await new LoraMirror(config, bucket).refresh()).toBe(true);
    expect(open).toHaveBeenCalledTimes(2);
    expect(warn).toHaveBeenCalledTimes(2); // once by each
  });

  it('should repair what somebody did to the folder, and remove what a killed process left', async () => {
    await put('film.safetensors', 'film');
    await mirror.refresh();
    writeFileSync(join(folder(), 'film.safetensors'), 'cut');
    writeFileSync(join(folder(), 'strange.safetensors'), '');
    for (const name of ['old.tmp', 'new.tmp']) writeFileSync(join(folder(), name), '');
    utimesSync(join(folder(), 'old.tmp'), 0, 0);
    await mirror.refresh();
    expect(files()).toEqual({ 'film.safetensors': 'film', 'new.tmp': '' });
  });

  it('should keep the whole old file where the new one ends early', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    await put('film.safetensors', 'film');
    await mirror.refresh();
    await put('film.safetensors', 'longer');
    const object = (await bucket.open('loras/film.safetensors'))!;
    object.body.destroy();
    jest.spyOn(bucket, 'open').mockResolvedValue({ ...object, body: Readable.from([Buffer.from('lon')]) });
    expect(await mirror.refresh()).toBe(false);
    expect(files()).toEqual({ 'film.safetensors': 'film' });
    jest.restoreAllMocks();
    expect(await mirror.refresh()).toBe(true);
    expect(files()).toEqual({ 'film.safetensors': 'longer' });
  });

  it('should start with the files of an earlier run where the bucket is away, and say so', async () => {
    await put('film.safetensors', 'film');
    await mirror.refresh();
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    const away = new S3Storage('no-such-bucket', s3Client(config));
    const later = new LoraMirror(config, away);
    await later.start();
    await later.onApplicationShutdown();
    away.onApplicationShutdown();
    expect(files()).toEqual({ 'film.safetensors': 'film' });
    expect(warn).toHaveBeenCalledWith(
      expect.anything(),
      expect.stringMatching(/^LORA_S3_PREFIX: the bucket/),
    );
  });
});
