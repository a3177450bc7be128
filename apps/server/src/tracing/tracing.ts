import type { RequestHandler } from 'express';
import type { JobRecord } from '@app/jobs';

/** Injection token; undefined where there are no traces. */
export const TRACING = Symbol('TRACING');

/** What others tell of their work, beside what Jobs.news says. */
export interface Tracing {
  /** A middleware: a span for each request. */
  readonly observe: RequestHandler;
  /** A picture is fetched for the request that is worked for; undefined: that is not traced. */
  fetch(host: string): OutboundCall | undefined;
  /** An attempt to deliver a webhook begins; undefined: its job is not traced. */
  delivery(job: JobRecord, index: number): OutboundCall | undefined;
}

export interface OutboundCall {
  /** By which the other side goes on with the trace. */
  readonly headers: Readonly<Record<string, string>>;
  /** `outcome`: the status of the answer, or why there is none. */
  end(outcome: string): void;
}
