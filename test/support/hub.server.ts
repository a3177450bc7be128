import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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
  /** Answers of the hub itself, before it looks at the request. */
  readonly hubStatuses: number[] = [];
  /** The only token that opens the repository; undefined: it is public. */
  token?: string;
  commit = COMMIT;
  /** HF_ENDPOINT; stays what it was after stop(). */
  endpoint = '';
  private readonly hub: Server;
  private readonly cdn: Server;

  private constructor(readonly files: Map<string, Buffer>) {
    this.hub = createServer((request, response) => this.answerHub(request, response));
    this.cdn = createServer((request, response) => this.answerCdn(request, response));
  }

  static async start(files: Record<string, Buffer>): Promise<HubServer> {
    const server = new HubServer(new Map(Object.entries(files)));
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

  private answerCdn(request: IncomingMessage, response: ServerResponse): void {
    const url = this.note('cdn', request);
    if (url.pathname === '/page') return end(response, 200, []);
    const file = this.files.get(decodeURIComponent(url.pathname.slice(1)))!;
    const fault = this.faults.shift();
    if (typeof fault === 'object' && 'status' in fault) return end(response, fault.status);
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const ranged = request.headers.range !== undefined && fault !== 'whole';
    const body = fault === 'damaged' ? Buffer.alloc(file.length) : ranged ? file.subarray(start) : file;
    response.writeHead(ranged ? 206 : 200, {
      'content-length': body.length,
      ...(ranged ? { 'content-range': `bytes ${start}-${file.length - 1}/${file.length}` } : {}),
    });
    if (typeof fault === 'object') response.write(body.subarray(0, fault.cut), () => response.destroy());
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

const address = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');

function end(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
