import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { OnApplicationShutdown } from '@nestjs/common';
import { assertKey, assertPrefix, isKey } from './key';
import { isConflict, isNoSuchKey, isTaken, isUnexplained, s3Unavailable } from './s3.errors';
import { Storage, tooLarge, type ObjectInfo, type StoredObject } from './storage';

/** In Node the body is always a stream of Node. */
type Reply = Omit<GetObjectCommandOutput, 'Body'> & { Body: Readable };

/** milliseconds; a health check that waits longer is no use to who asks */
const CHECK_TIMEOUT = 5_000;

/** Times that a write may meet another of its key in the same moment; each is over soon. */
const MAX_CONFLICTS = 5;

/** Bytes of an object whose reply does not announce how many: they are counted before they are passed on. */
const MOST_UNANNOUNCED = 128 * 1024 * 1024;

/** Objects in a bucket. Pictures are a few MB: one PutObject each, which S3 makes visible whole or not at all. */
export class S3Storage extends Storage implements OnApplicationShutdown {
  constructor(
    readonly bucket: string,
    private readonly client: S3Client,
    /** Makes links; it has the host that callers reach, for a signature covers the host. */
    private readonly linkClient = client,
  ) {
    super();
  }

  async put(key: string, body: Buffer, contentType: string): Promise<void> {
    await attempt('write', () => this.write(key, body, contentType));
  }

  async create(key: string, body: Buffer, contentType: string): Promise<boolean> {
    return attempt('write', async () => {
      for (let attempts = 1; ; attempts++) {
        try {
          await this.write(key, body, contentType, '*');
          return true;
        } catch (error) {
          if (isTaken(error)) return false;
          if (!isConflict(error) || attempts === MAX_CONFLICTS) throw error;
        }
      }
    });
  }

  async open(key: string): Promise<StoredObject | undefined> {
    return attempt('read', async () => {
      const reply = await this.get(key);
      if (!reply) return undefined;
      if (reply.ContentLength !== undefined)
        return { ...describe(key, reply.ContentLength, reply), body: reply.Body };
      const body = await bytesOf(reply, MOST_UNANNOUNCED);
      return { ...describe(key, body.length, reply), body: Readable.from([body]) };
    });
  }

  async read(key: string, maxBytes: number): Promise<Buffer | undefined> {
    return attempt('read', async () => {
      const reply = await this.get(key);
      return reply && bytesOf(reply, maxBytes);
    });
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    assertPrefix(prefix);
    try {
      const pages = paginateListObjectsV2(
        { client: this.client },
        { Bucket: this.bucket, Prefix: prefix || undefined },
      );
      for await (const page of pages)
        for (const object of page.Contents ?? [])
          // The empty "folders" of S3 consoles end with a slash and are no objects of ours.
          if (isKey(object.Key ?? '')) yield describe(object.Key!, object.Size, object);
    } catch (error) {
      throw s3Unavailable('list', error);
    }
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    await attempt('delete', async () => {
      try {
        await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }));
      } catch (error) {
        if (!isNoSuchKey(error)) throw error;
      }
    });
  }

  async check(): Promise<void> {
    const inTime = () => ({ abortSignal: AbortSignal.timeout(CHECK_TIMEOUT) });
    await attempt('be reached', async () => {
      try {
        await this.client.send(new HeadBucketCommand({ Bucket: this.bucket }), inTime());
      } catch (error) {
        if (!isUnexplained(error)) throw error;
        // The reply to HEAD has no body, which would say why.
        await this.client.send(new ListObjectsV2Command({ Bucket: this.bucket, MaxKeys: 1 }), inTime());
      }
    });
  }

  async presign(key: string, seconds: number, contentType: string): Promise<string> {
    assertKey(key);
    // Whatever type another program stored it with: a browser is to show a picture, never a page.
    const command = new GetObjectCommand({
      ...{ Bucket: this.bucket, Key: key },
      ResponseContentType: contentType,
    });
    return attempt('sign links', () => getSignedUrl(this.linkClient, command, { expiresIn: seconds }));
  }

  private async write(key: string, body: Buffer, contentType: string, ifNoneMatch?: '*'): Promise<void> {
    assertKey(key);
    await this.client.send(
      new PutObjectCommand({
        ...{ Bucket: this.bucket, Key: key, Body: body, ContentType: contentType, IfNoneMatch: ifNoneMatch },
        // Buckets with Object Lock insist on a checksum; this one every S3 server knows, and none stores as content.
        ContentMD5: createHash('md5').update(body).digest('base64'),
      }),
    );
  }

  private async get(key: string): Promise<Reply | undefined> {
    assertKey(key);
    try {
      const reply = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
      const body = reply.Body as Readable;
      // Every reader wants the same of a reply: what one can use the other can serve.
      if (reply.LastModified && reply.ETag) return { ...reply, Body: body };
      body.destroy();
      throw incomplete();
    } catch (error) {
      if (isNoSuchKey(error)) return undefined;
      throw error;
    }
  }

  onApplicationShutdown(): void {
    this.client.destroy();
    this.linkClient.destroy();
  }
}

async function bytesOf(
  { Body: body, ContentLength: announced = 0 }: Reply,
  maxBytes: number,
): Promise<Buffer> {
  try {
    if (announced > maxBytes) throw tooLarge(maxBytes);
    const chunks: Buffer[] = [];
    let received = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      received += chunk.length;
      // A reply in chunks announces no length.
      if (received > maxBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    body.destroy();
  }
}

/** Every S3 server sends them; without them callers could answer neither lengths nor cache headers. */
const incomplete = () => new Error('the reply has no length, date or ETag of the object');

function describe(
  key: string,
  size: number | undefined,
  { LastModified: lastModified, ETag: etag }: { LastModified?: Date; ETag?: string },
): ObjectInfo {
  if (size === undefined || !lastModified || !etag) throw incomplete();
  return { key, size, lastModified, etag };
}

async function attempt<T>(action: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw s3Unavailable(action, error);
  }
}
