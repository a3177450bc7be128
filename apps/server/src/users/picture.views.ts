import { Injectable, StreamableFile } from '@nestjs/common';
import type { Response } from 'express';
import type { UserPicture } from './user.pictures';
import type { PictureView, UserPictureInfo } from './users.dto';
import { UsersService, type RequestTurn } from './users.service';

export type ShownPicture = StreamableFile | UserPictureInfo | undefined;

/** A user's picture as a reply: itself, what was seen in it, or what the model sees of it. */
@Injectable()
export class PictureViews {
  constructor(private readonly users: UsersService) {}

  async show(
    kind: UserPicture,
    userId: string,
    { view }: PictureView,
    response: Response,
    turn: RequestTurn,
  ): Promise<ShownPicture> {
    if (view === 'info') return this.users.info(kind, userId, turn);
    if (view === 'reference') return asPng(await this.users.reference(kind, userId, turn));
    const { etag, png } = await this.users.get(kind, userId, (tag) => isKnown(response, tag), turn);
    response.setHeader('ETag', etag);
    if (png) return asPng(png);
    response.status(304);
    return undefined;
  }
}

const asPng = (png: Buffer) => new StreamableFile(png, { type: 'image/png', length: png.length });

/** Whether the request says that the caller has it. Express looks at the reply for it, which may become another yet. */
function isKnown(response: Response, etag: string): boolean {
  response.setHeader('ETag', etag);
  const { fresh } = response.req;
  response.removeHeader('ETag');
  return fresh;
}
