import { MAX_PICTURE_BYTES } from '@app/pictures';
import type { BodyRules } from './body.reader';

/** What one client may cost. Times are milliseconds; specs inject shorter ones. */
export class HttpLimits {
  /** Bytes of a request's first line and headers; more is 431. */
  readonly headerBytes: number = 16 * 1024;
  /** From the connection, or the end of the last request, to the end of the headers; longer is 408. */
  readonly headersTimeout: number = 20_000;
  /** The same to the end of the body. Not to the reply: a picture may take longer. */
  readonly requestTimeout: number = 120_000;
  /** How often Node looks for connections that are past the two times above. */
  readonly checkInterval: number = 2_000;
  /** Longer than load balancers keep idle connections (60 s), or they see resets. */
  readonly keepAliveTimeout: number = 75_000;

  /** Requests that may wait on a connection for an open reply; who pipelines more is cut. */
  readonly pipelined: number = 16;

  readonly jsonBytes: number = 100 * 1024;
  readonly pictureBytes: number = MAX_PICTURE_BYTES;
  /** Of a form, whose pictures have each as much. */
  readonly formBytes: number = 2 * MAX_PICTURE_BYTES;
  /** Parts of a form, and bytes of one that is text: a prompt of 32,000 characters. */
  readonly formParts: number = 100;
  readonly formTextBytes: number = 128 * 1024;
  /** For a body to arrive, and as long again for a picture to get its place; together less than requestTimeout. */
  readonly bodyTimeout: number = 45_000;
  /** So much of a body has to come in each such time, 1 kB/s; with less it is refused. */
  readonly bodyPace: BodyRules['pace'] = { bytes: 5_000, window: 5_000 };
  /** Uploaded pictures in memory at a time, from their first `freeBytes` to their reply: of all callers, and of one. */
  readonly pictures: number = 16;
  readonly picturesPerCaller: number = 8;
  /** What of a picture is read without a place: who sends a byte now and then takes none from others. */
  readonly freeBytes: number = 64 * 1024;

  /** For the rest of a body that nobody reads to end by itself; then its connection is cut. */
  readonly linger: number = 2_000;
  /** Without a byte that a client takes of its reply; then it is cut. */
  readonly replyTimeout: number = 30_000;

  /** Connections beyond their bounds that may be open, for probes; and for how long. */
  readonly spareConnections: number = 64;
  readonly spareTimeout: number = 5_000;
}
