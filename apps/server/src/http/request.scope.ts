import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceContext } from '@app/jobs';

/** What is known of the request that is worked for, however deep. Nothing of it is there in work for jobs, engines and timers. */
interface RequestScope {
  readonly reqId: string;
  /** Absent: it is not traced. */
  readonly trace?: TraceContext;
}

export const requestScope = new AsyncLocalStorage<RequestScope>();
