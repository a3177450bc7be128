import {
  Injectable,
  UseInterceptors,
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ApiBody, ApiConsumes } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { LargeBodies } from '../http/large.bodies';

/** The Content-Types of what a user's picture may be. */
export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];
/** What clients call it as well, rightly or not: the bytes decide what it is. */
const MAY_BE_PICTURE = /^(?:image\/.+|(?:application|binary)\/octet-stream)$/;

/** Reads a picture, as bytes, once the guards let the request in. */
@Injectable()
export class PictureBody implements NestInterceptor {
  constructor(private readonly bodies: LargeBodies) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    const response = context.switchToHttp().getResponse<Response>();
    if (mayBePicture(request)) request.body = await this.bodies.read(request, response);
    return next.handle();
  }
}

/** The route takes a picture as its body. */
export const TakesPicture = () =>
  applyDecorators(
    UseInterceptors(PictureBody),
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
