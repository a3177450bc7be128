import { Injectable, UseInterceptors } from '@nestjs/common';
import type { Request, Response } from 'express';
import { callerOf } from '../auth/account';
import { HttpLimits } from '../http/http.limits';
import { JsonBody } from '../http/json.body';
import { LargeBodies } from '../http/large.bodies';

/** JSON that may hold pictures, in base64. */
@Injectable()
export class PictureJson extends JsonBody {
  constructor(
    limits: HttpLimits,
    private readonly bodies: LargeBodies,
  ) {
    super(limits);
  }

  protected override read(request: Request, response: Response): Promise<Buffer | undefined> {
    return this.bodies.read(request, response, callerOf(request).name, this.limits.jsonBytes);
  }
}

export const TakesPictureJson = () => UseInterceptors(PictureJson);
