import { once } from 'node:events';
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import pLimit from 'p-limit';
import { readBody } from './body.reader';
import { HttpLimits } from './http.limits';

/**
 * Reads bodies that are too large to hold many of. Only so many are in memory at a time, over all routes: one keeps its
 * place from its first bytes to its reply, since until it is decoded it is held whole.
 */
@Injectable()
export class LargeBodies {
  private readonly places: pLimit.Limit;

  constructor(private readonly limits: HttpLimits) {
    this.places = pLimit(limits.pictures);
  }

  /** The body, or undefined when there is none. */
  read(request: Request, response: Response): Promise<Buffer | undefined> {
    const { pictureBytes: bytes, bodyTimeout: timeout, freeBytes: above } = this.limits;
    const place = { above, take: () => this.takePlace(response) };
    return readBody(request, response, { bytes, timeout, compressed: false, place });
  }

  private takePlace(response: Response): Promise<void> {
    return new Promise((resolve) => {
      void this.places(async () => {
        resolve();
        // Left meanwhile: the place goes to the next one.
        if (!response.destroyed && !response.writableFinished) await once(response, 'close');
      });
    });
  }
}
