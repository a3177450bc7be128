import { pipeline } from 'node:stream';
import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Storage, type StoredObject } from '@app/storage';
import { ApiErrors } from '../api.errors.dto';

/** Stored results by key. Avatars, photos and everything else in the storage stay unreachable from here. */
@ApiTags('images')
@Controller('images')
export class ResultsController {
  constructor(
    private readonly config: Config,
    private readonly storage: Storage,
  ) {}

  /** A picture that the service made. */
  @Get('*key')
  @ApiOperation({ operationId: 'getPicture' })
  @ApiParam({
    name: 'key',
    description: 'The key as in the reply; its slashes are not encoded',
    type: String,
    example: 'generated/user123/memory_0123456789abcdef01234567.png',
  })
  @ApiProduces('image/png')
  @ApiOkResponse({ description: 'The picture', schema: { type: 'string', format: 'binary' } })
  @ApiResponse({ status: 304, description: 'If-None-Match names the picture that is stored' })
  @ApiErrors('invalid_request', 'not_found', 'storage_unavailable')
  async get(
    @Param('key') segments: string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const picture = await this.open(segments);
    response.set({
      'Content-Type': 'image/png',
      'Content-Length': String(picture.size),
      ETag: picture.etag,
      'Last-Modified': picture.lastModified.toUTCString(),
      // A key is never used for a second picture. Private: it shows a person.
      'Cache-Control': 'private, max-age=31536000, immutable',
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

  private async open(segments: string[]): Promise<StoredObject> {
    const key = segments.join('/');
    const picture =
      key.startsWith(this.config.S3_GENERATED_PREFIX) && segments.every(isPlain)
        ? await this.storage.open(key)
        : undefined;
    if (!picture) throw new ServiceError('not_found', 'There is no picture with this key');
    return picture;
  }
}

/** The router has decoded the segment: %2F and %2E%2E are `/` and `..` by now. */
const isPlain = (segment: string) => /^[A-Za-z0-9._@-]{1,255}$/.test(segment) && !/^\.+$/.test(segment);
