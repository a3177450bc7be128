import { Injectable, applyDecorators } from '@nestjs/common';
import { ApiBody, ApiConsumes } from '@nestjs/swagger';
import type { Request } from 'express';
import { callerOf } from '../auth/account';
import { LargeBodies } from '../http/large.bodies';

/** The Content-Types that a user's picture may have. The bytes decide what it is. */
export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];

/** Reads a picture, as bytes. Routes call it once everything else of the request is in order. */
@Injectable()
export class PictureBody {
  constructor(private readonly bodies: LargeBodies) {}

  /** undefined: there is none, or it is said to be something else, and stays unread. */
  async read(request: Request): Promise<Buffer | undefined> {
    if (!mayBePicture(request)) return undefined;
    return this.bodies.read(request, request.res!, callerOf(request).name);
  }
}

/** The route takes a picture as its body. */
export const TakesPicture = () =>
  applyDecorators(
    ApiConsumes(...PICTURE_TYPES),
    ApiBody({
      schema: { type: 'string', format: 'binary' },
      description: 'The picture, at most 20 MiB and 50 megapixels',
    }),
  );

/** Pictures are recognised by content, so a body without a Content-Type (`curl -T`) is welcome. */
function mayBePicture({ headers }: Request): boolean {
  const type = headers['content-type']?.split(';', 1)[0].trim().toLowerCase();
  return type === undefined || PICTURE_TYPES.includes(type);
}
