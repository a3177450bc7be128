import { HubApiError, listFiles } from '@huggingface/hub';
import { EnvHttpProxyAgent, RetryAgent, fetch, type RequestInit, type Response } from 'undici';
import { ModelError } from './model.error';
import type { HubReference } from './hub.reference';

export interface HubFile {
  readonly repo: string;
  /** The commit that the revision stands for now: what is fetched cannot change between two requests. */
  readonly commit: string;
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** Names the content: the sha256 of a large file, the git object id of a small one. */
  readonly etag: string;
  readonly sha256?: string;
}

export interface HubOptions {
  /** HF_ENDPOINT */
  readonly endpoint: string;
  /** HF_TOKEN. Goes to `endpoint` alone, never to the host that a download is redirected to, never into a log. */
  readonly token?: string;
  /** First pause before a failed request is tried again; it doubles. */
  readonly retryDelayMs?: number;
}

/** What the hub calls a file or a commit becomes a name in the cache. */
const FILE_NAME = /^(?!\.+$)[\w.-]+$/;
const TRIES = 4;
/** Codes of a network that may be back in a moment. */
const PASSING = [
  'ECONNRESET',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'ENETDOWN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
];

/** Asks the model hub: lists a repository, describes a file, opens a file from a byte on. Failures are ModelErrors. */
export class HubClient {
  readonly retryDelayMs: number;
  private readonly endpoint: string;
  private readonly agent: RetryAgent;

  constructor(private readonly options: HubOptions) {
    this.endpoint = options.endpoint.replace(/\/+$/, '');
    this.retryDelayMs = options.retryDelayMs ?? 1000;
    // A silent connection is given up after a minute; the agent also honours HTTPS_PROXY and NO_PROXY.
    this.agent = new RetryAgent(new EnvHttpProxyAgent({ bodyTimeout: 60_000, headersTimeout: 60_000 }), {
      maxRetries: TRIES,
      minTimeout: this.retryDelayMs,
      errorCodes: PASSING,
      statusCodes: [429, 500, 502, 503, 504],
    });
  }

  /** Names of the files and folders at the top of the repository. */
  async list(reference: HubReference, variable: string): Promise<{ files: string[]; folders: string[] }> {
    const files: string[] = [];
    const folders: string[] = [];
    try {
      const entries = listFiles({
        repo: reference.repo,
        revision: encodeURIComponent(reference.revision),
        hubUrl: this.endpoint,
        fetch: ((url: string, init: RequestInit) =>
          this.request(url, init)) as unknown as typeof globalThis.fetch,
      });
      for await (const entry of entries) (entry.type === 'directory' ? folders : files).push(entry.path);
    } catch (error) {
      throw this.explain(error, error instanceof HubApiError ? error.statusCode : undefined, variable);
    }
    return { files, folders };
  }

  /** Size, content hash and commit, as the hub reports them before it redirects to where the bytes are. */
  async describe(reference: HubReference & { path: string }, variable: string): Promise<HubFile> {
    let url = this.address(reference.repo, reference.revision, reference.path);
    for (let hops = 0; hops < 5; hops++) {
      const response = await this.get(url, variable, { method: 'HEAD', redirect: 'manual' });
      const header = (name: string) => response.headers.get(name) ?? undefined;
      const etag = header('x-linked-etag') ?? header('etag');
      const location = header('location');
      // A renamed repository answers with an address on the hub itself and without the file's hash.
      if (location && !header('x-linked-etag') && this.isHub(new URL(location, url).href)) {
        url = new URL(location, url).href;
        continue;
      }
      const size = Number(header('x-linked-size') ?? header('content-length'));
      const name = etag?.replace(/^W\//, '').replaceAll('"', '') ?? '';
      if (!FILE_NAME.test(name) || !Number.isSafeInteger(size)) break;
      return {
        repo: reference.repo,
        commit: FILE_NAME.test(header('x-repo-commit') ?? '') ? header('x-repo-commit')! : reference.revision,
        path: reference.path,
        size,
        etag: name,
        sha256: /^[0-9a-f]{64}$/.test(name) ? name : undefined,
      };
    }
    throw new ModelError(
      `${variable}: the model hub does not tell the file's size and hash; is HF_ENDPOINT a hub?`,
    );
  }

  /** The file's bytes from `start` on: 206, or 200 and all of it where the server knows no ranges. */
  async open(file: HubFile, start: number, variable: string): Promise<Response> {
    return this.get(this.address(file.repo, file.commit, file.path), variable, {
      headers: start > 0 ? { range: `bytes=${start}-` } : {},
    });
  }

  async close(): Promise<void> {
    await this.agent.close();
  }

  private async get(url: string, variable: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await this.request(url, init);
    } catch (error) {
      throw this.explain(error, undefined, variable);
    }
    if (response.status >= 400) {
      await response.body?.cancel();
      throw this.explain(undefined, response.status, variable);
    }
    return response;
  }

  /** fetch drops `authorization` when a redirect leaves the origin; pages of a listing are asked for one by one. */
  private request(url: string, init: RequestInit): Promise<Response> {
    // Compressed on the way, sizes and ranges would mean other bytes than the file's.
    const headers = {
      'accept-encoding': 'identity',
      ...(init.headers as Record<string, string> | undefined),
    } as Record<string, string>;
    if (this.options.token && this.isHub(url)) headers.authorization = `Bearer ${this.options.token}`;
    return fetch(url, { ...init, headers, dispatcher: this.agent });
  }

  private isHub(url: string): boolean {
    return new URL(url).origin === new URL(this.endpoint).origin;
  }

  private address(repo: string, revision: string, path: string): string {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return `${this.endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${encoded}`;
  }

  private explain(error: unknown, status: number | undefined, variable: string): ModelError {
    const cause = (error as Error | undefined)?.cause as { statusCode?: number; code?: string } | undefined;
    const code = status ?? cause?.statusCode;
    const options = { cause: error };
    if (code === 401 || code === 403) {
      const what = this.options.token
        ? 'HF_TOKEN has no access: accept the licence on its page with the account of the token'
        : 'set HF_TOKEN to a token that has access';
      return new ModelError(
        `${variable}: the repository is private, gated or does not exist; ${what}.`,
        options,
      );
    }
    if (code === 404) {
      return new ModelError(
        `${variable}: the model hub has no such repository, revision or file. Expected a file, a folder, or a name as on the hub.`,
        options,
      );
    }
    const reason = code ? `it answered ${code}` : (cause?.code ?? 'no answer');
    return new ModelError(
      `${variable}: the model hub could not be reached (${reason}). Check the network and HF_ENDPOINT, or name a local file; ` +
        'what is already downloaded is kept.',
      options,
    );
  }
}
