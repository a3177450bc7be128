import { Injectable } from '@nestjs/common';
import type { JobRecord } from '@app/jobs';

/**
 * The requests of these routes that wait for their pictures in this process: front ends ask how far, and to interrupt,
 * whatever is drawn, without naming it. Of each caller's only its own.
 */
@Injectable()
export class CurrentJobs {
  private readonly waiting = new Set<{ readonly account: string; id?: string }>();

  async run<T>(
    account: string,
    draw: (onAccepted: (job: JobRecord) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const request: { account: string; id?: string } = { account };
    this.waiting.add(request);
    try {
      return await draw(({ id }) => {
        request.id = id;
        return Promise.resolve();
      });
    } finally {
      this.waiting.delete(request);
    }
  }

  /** How many they are, and the job of the oldest, if it has one yet. */
  of(account: string): { readonly count: number; readonly id?: string } {
    const own = [...this.waiting].filter((request) => request.account === account);
    return { count: own.length, id: own[0]?.id };
  }
}
