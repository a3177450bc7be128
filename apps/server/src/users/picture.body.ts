import { Injectable, applyDecorators } from '@nestjs/common';
import { ApiBody, ApiConsumes } from '@nestjs/swagger';
import type { Request } from 'express';
import { callerOf } from '../auth/account';
import { LargeBodies } from '../http/large.bodies';

/** The Content-Types of what a user's picture may be. */
export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];
/** What clients call it as well, rightly or not: the bytes decide what it is. */
const MAY_BE_PICTURE = /^(?:image\/.+|(?:application|binary)\/octet-stream)$/;

/** What came as a user's picture. */
export interface Upload {
  /** Absent: nothing, or what is said to be no picture. */
  readonly body?: Buffer;
  readonly contentType?: string;
}

/** Reads a picture, as bytes. Routes call it once everything else of the request is in order. */
@Injectable()
export class PictureBody {
  constructor(private readonly bodies: LargeBodies) {}

  /** Without a body: there is none, or it is said to be something else, and stays unread. */
  async read(request: Request): Promise<Upload> {
    const contentType = request.headers['content-type'];
    if (!mayBePicture(request)) return { contentType };
    return { contentType, body: await this.bodies.read(request, request.res!, callerOf(request).name) };
  }
}

/** The route takes a picture as its body. */
export const TakesPicture = () =>
  applyDecorators(
    ApiConsumes(...PICTURE_TYPES, 'application/octet-stream'),
    ApiBody({
      schema: { type: 'string', format: 'binary' },
      description:
        'A PNG, JPEG or WebP picture, at most 20 MiB and 65 megapixels; of an animation the first frame. Its bytes ' +
        'decide which it is: Content-Type may name any image type, or none.',
    }),
  );

/** A body without a Content-Type (`curl -T`) is welcome too. */
function mayBePicture({ headers }: Request): boolean {
  const type = headers['content-type']?.split(';', 1)[0].trim().toLowerCase();
  return type === undefined || MAY_BE_PICTURE.test(type);
}
