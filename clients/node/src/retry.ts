import { setTimeout as sleep } from 'node:timers/promises';
import { retryAfter } from './errors';

/** Seconds; whoever is told to come back later than that hears it from the error. */
const LONGEST_PAUSE = 60;

/** fetch that sends a request again where the service says when, or where no reply came and nothing is done twice by it. */
export function retrying(send: (request: Request) => Promise<Response>, retries: number): typeof send {
  return async (request) => {
    for (let attempt = 0; ; attempt++) {
      const isLast = attempt === retries;
      let pause: number | undefined;
      try {
        const response = await send(isLast ? request : request.clone());
        pause = response.ok ? undefined : retryAfter(response);
        if (isLast || pause === undefined || pause > LONGEST_PAUSE) return response;
        await response.body?.cancel();
      } catch (error) {
        if (isLast || request.signal.aborted || !isRepeatable(request)) throw error;
        pause = 2 ** attempt / 2;
      }
      await sleep(pause * 1000, undefined, { signal: request.signal });
    }
  };
}

const isRepeatable = ({ method, headers }: Request) => method !== 'POST' || headers.has('idempotency-key');
