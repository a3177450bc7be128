import { once } from 'node:events';
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import pLimit from 'p-limit';
import { readBody } from './body.reader';
import { HttpLimits } from './http.limits';

/** Emitted by a response long before its end: the body of its request is not in memory any more. */
export const BODY_USED = 'bodyUsed';

/**
 * Reads bodies that are too large to hold many of. Only so many are in memory at a time, over all routes, and fewer of
 * one caller: one keeps its place from its first bytes to its reply, since until it is decoded it is held whole.
 */
@Injectable()
export class LargeBodies {
  private readonly places: pLimit.Limit;
  /** By caller; of those who have or want a place. */
  private readonly shares = new Map<string, pLimit.Limit>();

  constructor(private readonly limits: HttpLimits) {
    this.places = pLimit(limits.pictures);
  }

  /**
   * The body, or undefined when there is none. `caller`: by whom places are counted. `unpacked`: most bytes of one that comes
   * compressed; absent: it may not.
   */
  read(request: Request, response: Response, caller: string, unpacked?: number): Promise<Buffer | undefined> {
    const { pictureBytes: bytes } = this.limits;
    return readBody(request, response, { ...this.rules(caller, response), bytes, unpacked });
  }

  /** Has a body of several pictures parsed as it comes, likewise; false: there is none. */
  async parse(
    request: Request,
    response: Response,
    caller: string,
    parse: (chunk: Buffer) => void,
  ): Promise<boolean> {
    const { formBytes: bytes } = this.limits;
    const rules = { ...this.rules(caller, response), bytes, parse };
    return (await readBody(request, response, rules)) !== undefined;
  }

  private rules(caller: string, response: Response) {
    const { bodyTimeout: timeout, bodyPace: pace, freeBytes: above } = this.limits;
    return { timeout, pace, place: { above, take: () => this.takePlace(caller, response) } };
  }

  private takePlace(caller: string, response: Response): Promise<void> {
    const share = this.shares.get(caller) ?? pLimit(this.limits.picturesPerCaller);
    this.shares.set(caller, share);
    return new Promise((resolve) => {
      const keep = async () => {
        resolve();
        // Left meanwhile: the place goes to the next one.
        if (!response.destroyed && !response.writableFinished)
          await Promise.race([once(response, 'close'), once(response, BODY_USED)]);
      };
      void share(() => this.places(keep)).then(() => {
        if (share.activeCount + share.pendingCount === 0) this.shares.delete(caller);
      });
    });
  }
}
