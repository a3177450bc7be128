import type { HealthIndicatorResult } from '@nestjs/terminus';

/**
 * Whether this process does its work. Two kinds: it draws (DrawingReadiness: all, worker), or it takes requests for
 * workers elsewhere (ServingReadiness: api). This class is also the injection token.
 */
export abstract class Readiness {
  /** true: ready whatever is down; what it depends on is data. */
  abstract readonly always: boolean;

  /** What its work depends on. */
  abstract look(): Promise<HealthIndicatorResult>;

  /** Why no picture can be made, in a sentence; undefined when one can. */
  abstract reason(): Promise<string | undefined>;
}
