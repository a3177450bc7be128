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

/** The Content-Types that a user's picture may have. The bytes decide what it is. */
export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];

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
