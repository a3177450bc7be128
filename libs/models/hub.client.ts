import { HubApiError, listFiles } from '@huggingface/hub';
import { EnvHttpProxyAgent, RetryAgent, fetch, type RequestInit, type Response } from 'undici';
import { type HubAnswer, hubError } from './hub.errors';
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
  /** HF_HUB_OFFLINE: nothing is asked. */
  readonly offline?: boolean;
  /** First pause before a failed request is tried again; it doubles. */
  readonly retryDelayMs?: number;
  /** Bytes that one request asks for; a file's requests run side by side, and wait in memory for each other. */
  readonly rangeBytes?: number;
}

/** 16 MiB: the hub counts requests, and four of these are what the memory has to hold. */
const RANGE_BYTES = 16 * 1024 * 1024;
const NO_HEAD = [405, 501];
/** Redirects before a file is described. */
const MOST_HOPS = 5;

/** What is known of a file so far. */
interface Described {
  commit?: string;
  size?: number;
  etag?: string;
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
  readonly rangeBytes: number;
  private readonly endpoint: string;
  private readonly agent: RetryAgent;

  constructor(private readonly options: HubOptions) {
    this.endpoint = options.endpoint.replace(/\/+$/, '');
    this.retryDelayMs = options.retryDelayMs ?? 1000;
    this.rangeBytes = options.rangeBytes ?? RANGE_BYTES;
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
    this.assertOnline(variable);
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
      throw this.explain(
        error,
        { status: error instanceof HubApiError ? error.statusCode : undefined },
        variable,
      );
    }
    return { files, folders };
  }

  /**
   * Size, content hash and commit, as the hub reports them before it redirects to where the bytes are. A mirror may
   * redirect to the hub first, or leave the size to whoever asks for bytes.
   */
  async describe(reference: HubReference & { path: string }, variable: string): Promise<HubFile> {
    const start = this.address(reference.repo, reference.revision, reference.path);
    const known: Described = {};
    let url: string | undefined = start;
    for (let hops = 0; url && hops < MOST_HOPS; hops++) url = await this.look(url, known, variable);
    if (!known.size || !known.etag) await this.probe(start, known, variable);
    const { commit = reference.revision, size, etag } = known;
    if (!size || !etag) {
      throw new ModelError(
        `${variable}: what answers at HF_ENDPOINT does not tell the file's size and ETag: it is no model hub, or a mirror ` +
          'that leaves them out.',
      );
    }
    const sha256 = /^[0-9a-f]{64}$/.test(etag) ? etag : undefined;
    return { repo: reference.repo, commit, path: reference.path, size, etag, sha256 };
  }

  /** One HEAD. Resolves to the address that describes the file, where this one only leads there. */
  private async look(url: string, known: Described, variable: string): Promise<string | undefined> {
    const { headers, status } = await this.get(url, variable, { method: 'HEAD', redirect: 'manual' }, true);
    // A link to the bytes may be signed for GET alone, and a mirror may not know HEAD.
    if (status >= 400 && this.isHub(url) && !NO_HEAD.includes(status))
      throw this.explain(undefined, answerOf(status, headers), variable);
    if (status >= 400) return undefined;
    const location = headers.get('location');
    // A renamed repository, or a mirror.
    const leads = location !== null && !headers.has('x-linked-etag');
    learn(known, headers, !leads);
    return leads ? new URL(location, url).href : undefined;
  }

  /** One byte of the file: its reply says of how many, also where HEAD is not answered. */
  private async probe(url: string, known: Described, variable: string): Promise<void> {
    const response = await this.get(url, variable, { headers: { range: 'bytes=0-0' } });
    await response.body?.cancel();
    learn(known, response.headers, true);
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    known.size = Number(total ?? (response.status === 200 ? response.headers.get('content-length') : 0));
  }

  /** So many of the file's bytes: 206, or 200 and all of it where the server knows no ranges. */
  async open(
    file: HubFile,
    { from, length }: { readonly from: number; readonly length: number },
    variable: string,
    signal?: AbortSignal,
  ): Promise<Response> {
    const headers = { range: `bytes=${from}-${from + length - 1}` };
    return this.get(this.address(file.repo, file.commit, file.path), variable, { headers, signal });
  }

  async close(): Promise<void> {
    await this.agent.close();
  }

  /** `lenient`: whatever status it answers. */
  private async get(url: string, variable: string, init: RequestInit, lenient = false): Promise<Response> {
    this.assertOnline(variable);
    let response: Response;
    try {
      response = await this.request(url, init);
    } catch (error) {
      throw this.explain(error, {}, variable);
    }
    if (response.status >= 400 && !lenient) {
      await response.body?.cancel();
      const answer = answerOf(response.status, response.headers);
      throw this.explain(undefined, answer, variable, !this.isHub(response.url || url));
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

  private assertOnline(variable: string): void {
    if (!this.options.offline) return;
    throw new ModelError(
      `${variable}: the file is not in HF_HOME, and HF_HUB_OFFLINE forbids to download it: set it to false, or bring a ` +
        'HF_HOME that was filled elsewhere (npm run models -- pull).',
    );
  }

  private isHub(url: string): boolean {
    return new URL(url).origin === new URL(this.endpoint).origin;
  }

  private address(repo: string, revision: string, path: string): string {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return `${this.endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${encoded}`;
  }

  private explain(error: unknown, answer: HubAnswer, variable: string, elsewhere = false): ModelError {
    return hubError(error, answer, variable, { hasToken: Boolean(this.options.token), elsewhere });
  }
}

const answerOf = (status: number, headers: Response['headers']): HubAnswer => ({
  status,
  code: headers.get('x-error-code'),
  message: headers.get('x-error-message'),
});

/** Adds what the headers of a reply say of the file. */
function learn(known: Described, headers: Response['headers'], describes: boolean): void {
  const commit = headers.get('x-repo-commit') ?? '';
  if (FILE_NAME.test(commit)) known.commit ??= commit;
  if (!describes) return;
  const name = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '')
    .replace(/^W\//, '')
    .replaceAll('"', '');
  if (FILE_NAME.test(name)) known.etag ??= name;
  const size = Number(
    headers.get('x-linked-size') ?? (headers.has('location') ? 0 : headers.get('content-length')),
  );
  if (Number.isSafeInteger(size) && size > 0) known.size ??= size;
}
