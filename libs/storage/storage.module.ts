import { Module } from '@nestjs/common';
import { Config } from '@app/config';
import { DiskSpace } from './disk.space';
import { LocalStorage } from './local.storage';
import { s3Client } from './s3.client';
import { S3Storage } from './s3.storage';
import { Storage } from './storage';

/** Provides DiskSpace, and Storage: the bucket when S3_BUCKET_NAME is set, else the disk under DATA_DIR. Needs ConfigModule. */
@Module({
  providers: [{ provide: Storage, inject: [Config], useFactory: openStorage }, DiskSpace],
  exports: [Storage, DiskSpace],
})
export class StorageModule {}

/** The storage that the configuration names. Only a local folder is touched: a bucket may come up later. */
export async function openStorage(config: Config): Promise<Storage> {
  const { S3_BUCKET_NAME: bucket, S3_PUBLIC_ENDPOINT: address, DATA_DIR } = config;
  if (!bucket) return LocalStorage.open(DATA_DIR);
  return new S3Storage(bucket, s3Client(config), address ? s3Client(config, address) : undefined);
}
