export { DiskSpace } from './disk.space';
export { S3Storage } from './s3.storage';
export { StorageModule } from './storage.module';
export { Storage, type ObjectInfo, type StoredObject } from './storage';
