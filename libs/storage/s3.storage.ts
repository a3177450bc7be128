import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { OnApplicationShutdown } from '@nestjs/common';
import { assertKey, assertPrefix, isKey } from './key';
import { isNoSuchKey, s3Unavailable } from './s3.errors';
import { Storage, tooLarge, type ObjectInfo, type StoredObject } from './storage';

/** In Node the body is always a stream of Node. */
type Reply = Omit<GetObjectCommandOutput, 'Body'> & { Body: Readable };

/** milliseconds; a health check that waits longer is no use to who asks */
const CHECK_TIMEOUT = 5_000;

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
    assertKey(key);
    await attempt('write', () =>
      this.client.send(
        new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, ContentType: contentType }),
      ),
    );
  }

  async open(key: string): Promise<StoredObject | undefined> {
    return attempt('read', async () => {
      const reply = await this.get(key);
      if (!reply) return undefined;
      try {
        return { ...describe(key, reply.ContentLength, reply), body: reply.Body };
      } catch (error) {
        reply.Body.destroy();
        throw error;
      }
    });
  }

  async read(key: string, maxBytes: number): Promise<Buffer | undefined> {
    return attempt('read', async () => {
      const reply = await this.get(key);
      if (!reply) return undefined;
      try {
        if ((reply.ContentLength ?? 0) > maxBytes) throw tooLarge(maxBytes);
        const chunks: Buffer[] = [];
        let received = 0;
        for await (const chunk of reply.Body as AsyncIterable<Buffer>) {
          received += chunk.length;
          // A reply in chunks announces no length.
          if (received > maxBytes) throw tooLarge(maxBytes);
          chunks.push(chunk);
        }
        return Buffer.concat(chunks);
      } finally {
        reply.Body.destroy();
      }
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
    await attempt('be reached', () =>
      this.client.send(new HeadBucketCommand({ Bucket: this.bucket }), {
        abortSignal: AbortSignal.timeout(CHECK_TIMEOUT),
      }),
    );
  }

  async presign(key: string, seconds: number): Promise<string> {
    assertKey(key);
    // Whatever type another program stored it with: a browser is to show a picture, never a page.
    const command = new GetObjectCommand({
      ...{ Bucket: this.bucket, Key: key },
      ResponseContentType: 'image/png',
    });
    return attempt('sign links', () => getSignedUrl(this.linkClient, command, { expiresIn: seconds }));
  }

  private async get(key: string): Promise<Reply | undefined> {
    assertKey(key);
    try {
      const reply = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
      return { ...reply, Body: reply.Body as Readable };
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

function describe(
  key: string,
  size: number | undefined,
  { LastModified: lastModified, ETag: etag }: { LastModified?: Date; ETag?: string },
): ObjectInfo {
  // Every S3 server sends all three; without them callers could answer neither lengths nor cache headers.
  if (size === undefined || !lastModified || !etag)
    throw new Error('the reply has no length, date or ETag of the object');
  return { key, size, lastModified, etag };
}

async function attempt<T>(action: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw s3Unavailable(action, error);
  }
}
