import { pipeline } from 'node:stream';
import { Controller, Delete, Get, HttpCode, Param, Req, Res } from '@nestjs/common';
import {
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiProduces,
  ApiQuery,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { isFinished, Jobs, keysOf } from '@app/jobs';
import { Storage, type StoredObject } from '@app/storage';
import { CallerKey, type ApiKey } from '../auth/api.key';
import { RequireScope, SelfChecked } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { LOOKUP_ERRORS } from '../errors/error.groups';
import { Links } from './links';

const KEY = {
  name: 'key',
  description: 'The key as in the reply; its slashes may be encoded, as `%2F`',
  type: String,
  example: 'generated/user123/memory_0123456789abcdef01234567.png',
};

/** The end of every key that the service makes: the id of the job, and which of its pictures it is but for the first. */
const JOB_OF_KEY = /[/_]([0-9a-f]{24})(?:-\d{1,2})?\.png$/;

/** Stored results by key. Avatars, photos and everything else in the storage stay unreachable from here. */
@ApiTags('images')
@Controller('images')
export class ResultsController {
  constructor(
    private readonly config: Config,
    private readonly storage: Storage,
    private readonly jobs: Jobs,
    private readonly links: Links,
  ) {}

  /** A picture that the service made. Where callers need keys: with one, or by a signed link from a reply. */
  @Get('*key')
  @SelfChecked()
  @ApiOperation({ operationId: 'getPicture' })
  @ApiParam(KEY)
  @ApiQuery({
    ...{ name: 'expires', required: false, schema: { type: 'string' } },
    description: 'Of a signed link: when it ends, in Unix seconds',
  })
  @ApiQuery({
    ...{ name: 'signature', required: false, schema: { type: 'string' } },
    description: 'Of a signed link: what proves that this service made it, for this key and time',
  })
  @ApiProduces('image/png')
  @ApiOkResponse({
    ...{ description: 'The picture', schema: { type: 'string', format: 'binary' } },
    headers: headers('ETag', 'Last-Modified', 'Cache-Control'),
  })
  @ApiResponse({
    ...{ status: 304, description: 'If-None-Match names the picture that is stored' },
    headers: headers('ETag', 'Last-Modified', 'Cache-Control'),
  })
  @ApiErrors(...LOOKUP_ERRORS)
  async get(
    @Param('key') segments: string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const key = toKey(segments);
    // Before the storage is asked: a stranger does not learn which pictures there are.
    const cacheControl = this.admit(key, request);
    const picture = await this.open(key);
    response.set({
      'Content-Type': 'image/png',
      'Content-Length': String(picture.size),
      ETag: picture.etag,
      'Last-Modified': picture.lastModified.toUTCString(),
      'Cache-Control': cacheControl,
      // Pages of other origins may show it with <img>; helmet's default would stop them.
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    const unchanged = request.fresh;
    if (unchanged || request.method === 'HEAD') {
      picture.body.destroy();
      if (unchanged) response.removeHeader('Content-Length');
      response.status(unchanged ? 304 : 200).end();
      return;
    }
    // Ends both when either fails: a client that leaves frees the file or bucket connection, and a storage that
    // breaks off cuts the reply, whose length is announced, so that nobody takes it for whole.
    pipeline(picture.body, response, () => undefined);
  }

  /** Removes a picture that the service made, and with the last of a job that job. Idempotent. */
  @Delete('*key')
  @RequireScope('draw')
  @HttpCode(204)
  @ApiParam(KEY)
  @ApiNoContentResponse({ description: 'There is no such picture any more' })
  @ApiErrors(...LOOKUP_ERRORS)
  async removePicture(@Param('key') segments: string[], @CallerKey() access?: ApiKey): Promise<void> {
    const key = toKey(segments);
    const [, id] = JOB_OF_KEY.exec(key) ?? [];
    if (id === undefined || !this.isResult(key)) throw notFound();
    this.assertOwn(key, access);
    const job = await this.jobs.find(id);
    if (!job || !keysOf(job.picture).includes(key)) return this.storage.delete(key);
    if (!isFinished(job)) throw notFound(); // it would come yet
    await this.jobs.discard(job, [key]);
  }

  /**
   * How the caller may keep the picture, as Cache-Control says it. Where there are keys, it takes a signed link, or a key
   * that may read; one that is bound to a user, only that user's. Throws `unauthorized`, `forbidden`, `not_found`.
   */
  private admit(key: string, request: Request): string {
    const { seconds, access } = this.links.admit(key, request);
    if (seconds !== undefined) return `private, max-age=${seconds}, must-revalidate`;
    this.assertOwn(key, access);
    // A key is never used for a second picture. Private: it shows a person.
    return 'private, max-age=31536000, immutable';
  }

  /** A key that is bound to a user reaches only that user's pictures. */
  private assertOwn(key: string, access?: ApiKey): void {
    const own = `${this.config.S3_GENERATED_PREFIX}${access?.userId}/`;
    if (access?.userId !== undefined && !key.startsWith(own)) throw notFound();
  }

  private async open(key: string): Promise<StoredObject> {
    const picture = this.isResult(key) ? await this.storage.open(key) : undefined;
    if (!picture) throw notFound();
    return picture;
  }

  private isResult(key: string): boolean {
    return key.startsWith(this.config.S3_GENERATED_PREFIX) && key.split('/').every(isPlain);
  }
}

const notFound = () => new ServiceError('not_found', 'There is no picture with this key');

/** Segments, as the router decodes them, may hold slashes: clients that are generated encode those of a parameter. */
const toKey = (segments: string[]) => segments.join('/');

/** The router has decoded the key: %2F and %2E%2E are `/` and `..` by now. */
const isPlain = (segment: string) => /^[A-Za-z0-9._@-]{1,255}$/.test(segment) && !/^\.+$/.test(segment);
