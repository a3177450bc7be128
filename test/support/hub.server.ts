import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSafeServer, Server as SafeServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** In PEM. */
interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

export interface SeenRequest {
  readonly host: 'hub' | 'cdn';
  readonly method: string;
  readonly url: string;
  readonly range?: string;
  readonly authorization?: string;
}

/** What the next answer of the CDN is, one a request; after the last: the file. */
export type Fault =
  /** sends this many bytes of the body, then breaks the connection */
  | { readonly cut: number }
  /** sends so many bytes less than the range has, or more where it is negative, and says so itself */
  | { readonly short: number }
  /** answers this status */
  | { readonly status: number }
  /** sends the right number of wrong bytes */
  | 'damaged'
  /** knows no ranges: 200 and the whole file */
  | 'whole';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/**
 * A small model hub: the tree API, `resolve` that tells size and hash and redirects to a CDN on another port, where
 * the bytes lie under a signed link. One repository for every name.
 */
export class HubServer {
  readonly seen: SeenRequest[] = [];
  readonly faults: Fault[] = [];
  /** The same by the range that is asked for. */
  faultOf?: (range?: string) => Fault | undefined;
  /** Bytes that each connection of the CDN gets in a moment; undefined: all at once. */
  pace?: number;
  /** What the CDN's answer waits for. */
  held?: (request: SeenRequest) => Promise<void> | undefined;
  /** Answers of the hub itself, before it looks at the request. */
  readonly hubStatuses: number[] = [];
  /** How the hub refuses every request: a status, and headers that say why. */
  refusal?: { readonly status: number } & OutgoingHttpHeaders;
  /** The only token that opens the repository; undefined: it is public. */
  token?: string;
  commit = COMMIT;
  /** HF_ENDPOINT; stays what it was after stop(). */
  endpoint = '';
  private readonly hub: Server;
  private readonly cdn: Server;

  private constructor(
    readonly files: Map<string, Buffer>,
    tls?: Certificate,
  ) {
    const serve = (listener: RequestListener) =>
      tls ? createSafeServer(tls, listener) : createServer(listener);
    this.hub = serve((request, response) => this.answerHub(request, response));
    this.cdn = serve((request, response) => void this.answerCdn(request, response));
  }

  /** `tls`: both speak HTTPS. */
  static async start(files: Record<string, Buffer>, tls?: Certificate): Promise<HubServer> {
    const server = new HubServer(new Map(Object.entries(files)), tls);
    for (const one of [server.hub, server.cdn]) {
      await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    }
    server.endpoint = address(server.hub);
    return server;
  }

  /** Requests for a file's bytes. */
  get downloads(): SeenRequest[] {
    return this.seen.filter(({ host, url }) => host === 'cdn' && url !== '/page');
  }

  async stop(): Promise<void> {
    for (const one of [this.hub, this.cdn]) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
  }

  private answerHub(request: IncomingMessage, response: ServerResponse): void {
    const url = this.note('hub', request);
    const status = this.hubStatuses.shift();
    if (status) return end(response, status);
    if (this.refusal) {
      const { status, ...headers } = this.refusal;
      return void response.writeHead(status, headers).end();
    }
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      return end(response, 401, { error: 'Access to this repository is restricted.' });
    }
    if (/^\/api\/models\/[^/]+\/[^/]+\/tree\//.test(url.pathname)) {
      // The listing's next page lies elsewhere, as no good hub would have it.
      response.setHeader('link', `<${address(this.cdn)}/page>; rel="next"`);
      return end(response, 200, this.tree());
    }
    const path = decodeURIComponent(/^\/[^/]+\/[^/]+\/resolve\/[^/]+\/(.*)$/.exec(url.pathname)?.[1] ?? '');
    const file = this.files.get(path);
    if (!file) return end(response, 404, { error: 'Entry not found' });
    response.writeHead(302, {
      location: `${address(this.cdn)}/${encodeURIComponent(path)}?signature=secret`,
      'x-repo-commit': this.commit,
      'x-linked-size': file.length,
      'x-linked-etag': `"${sha256(file)}"`,
      etag: '"of-the-pointer"',
    });
    response.end();
  }

  private async answerCdn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = this.note('cdn', request);
    if (url.pathname === '/page') return end(response, 200, []);
    const file = this.files.get(decodeURIComponent(url.pathname.slice(1)))!;
    await this.held?.(this.seen.at(-1)!);
    const fault = this.faultOf?.(request.headers.range) ?? this.faults.shift();
    if (typeof fault === 'object' && 'status' in fault) return end(response, fault.status);
    const [first, last] = rangeOf(request, file.length);
    const short = typeof fault === 'object' && 'short' in fault ? fault.short : 0;
    const ranged = request.headers.range !== undefined && fault !== 'whole';
    const body =
      fault === 'damaged'
        ? Buffer.alloc(file.length)
        : ranged
          ? file.subarray(first, last + 1 - short)
          : file;
    response.writeHead(ranged ? 206 : 200, {
      'content-length': body.length,
      ...(ranged ? { 'content-range': `bytes ${first}-${first + body.length - 1}/${file.length}` } : {}),
    });
    if (typeof fault === 'object' && 'cut' in fault)
      response.write(body.subarray(0, fault.cut), () => response.destroy());
    else if (this.pace) await slowly(response, body, this.pace);
    else response.end(body);
  }

  private tree(): unknown[] {
    const folders = new Set<string>();
    const files: unknown[] = [];
    for (const [path, bytes] of this.files) {
      if (path.includes('/')) folders.add(path.split('/')[0]);
      else
        files.push({ type: 'file', path, size: bytes.length, oid: sha1(bytes), lfs: { oid: sha256(bytes) } });
    }
    return [...[...folders].map((path) => ({ type: 'directory', path, size: 0 })), ...files];
  }

  private note(host: 'hub' | 'cdn', request: IncomingMessage): URL {
    const { authorization, range } = request.headers;
    this.seen.push({ host, method: request.method ?? '', url: request.url ?? '', range, authorization });
    return new URL(request.url ?? '', 'http://hub');
  }
}

/** First and last byte. */
function rangeOf({ headers }: IncomingMessage, length: number): [number, number] {
  const [, start = 0, end = length - 1] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  return [Number(start), Math.min(Number(end), length - 1)];
}

async function slowly(response: ServerResponse, body: Buffer, pace: number): Promise<void> {
  for (let at = 0; at < body.length && !response.destroyed; at += pace) {
    response.write(body.subarray(at, at + pace));
    await pause(5);
  }
  response.end();
}

const address = (server: Server) => {
  const scheme = server instanceof SafeServer ? 'https' : 'http';
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');

function end(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
