import { Injectable, Logger } from '@nestjs/common';
import { Counter } from 'prom-client';

/** Milliseconds between two lines of one reason. */
const QUIET = 10_000;

const REASONS = ['address', 'connections', 'caller', 'stalled'] as const;
type Reason = (typeof REASONS)[number];

/** Who makes a request, for bounds and the log. */
export interface Caller {
  /** The same for all requests of a key, or without one of an address. */
  readonly name: string;
  readonly address: string;
  /** The key's name. */
  readonly key?: string;
}

/** What is refused or cut so that it does not weigh on others: counted, and logged at a bounded rate. */
@Injectable()
export class Refusals {
  readonly counter = new Counter({
    name: 'http_refusals_total',
    help:
      'Connections and requests that were refused or cut. Reason "address": more connections of one address than may be; ' +
      '"connections": more than MAX_CONNECTIONS; "caller": more open requests of one key or address than may be; ' +
      '"stalled": a reply of which its client took no more',
    labelNames: ['reason'],
    registers: [],
  });
  private readonly logger = new Logger('HttpServer');
  private readonly lines = new Map<Reason, { readonly at: number; missed: number }>();

  constructor() {
    for (const reason of REASONS) this.counter.inc({ reason }, 0);
  }

  note(reason: Reason, { address, key }: Pick<Caller, 'address' | 'key'>, sentence: string): void {
    this.counter.inc({ reason });
    const last = this.lines.get(reason);
    const now = performance.now();
    if (last && now - last.at < QUIET) {
      last.missed++;
      return;
    }
    this.lines.set(reason, { at: now, missed: 0 });
    this.logger.warn({ reason, address, key, others: last?.missed }, sentence);
  }
}
