/**
 * A model hub as the real one behaves towards a download: a repository's tree, `resolve` that tells size, sha256 and
 * commit and redirects to another host, and byte ranges there. It counts what it sends.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { atEnd } from '../bench/support/benchmark.mjs';

/** @typedef {import('../bench/weights/random.file.mjs').RandomFile} RandomFile */
/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */
/** Bytes `start` to `end` of a file went out; `end` grows while it is sent. @typedef {{ path: string, start: number, end: number }} Sent */
/** @typedef {RandomFile & { sha256: string }} HubFile */

const COMMIT = '462165984030d82259a11f4367a4eed129e94a7b';
/** What the socket gets at once, and so how exactly `Sent` counts. */
const SLICE = 1 << 18;

/**
 * @param {Record<string, RandomFile>} files by `owner/name/path`
 * @param {Record<string, string[]>} [others] by `owner/name`: names that its tree lists besides, which nobody fetches
 */
export async function startHub(files, others = {}) {
  const known = await withHashes(files);
  /** @type {Sent[]} */
  const sent = [];
  const cdn = await listen((request, response) => void sendBytes(known, sent, request, response));
  const endpoint = await listen((request, response) => answer(known, others, cdn, request, response));
  return { endpoint, files: known, sent };
}

/** @param {Record<string, RandomFile>} files */
async function withHashes(files) {
  /** @type {Map<string, HubFile>} */
  const known = new Map();
  for (const [path, file] of Object.entries(files)) {
    const hash = createHash('sha256');
    for (const piece of file.read()) {
      hash.update(piece);
      await turn(); // a Ctrl-C is heard
    }
    known.set(path, { ...file, sha256: hash.digest('hex') });
  }
  return known;
}

/**
 * @param {Map<string, HubFile>} files
 * @param {Record<string, string[]>} others
 * @param {string} cdn
 * @param {Request} request
 * @param {Response} response
 */
function answer(files, others, cdn, { url = '/' }, response) {
  const { pathname } = new URL(url, 'http://hub');
  const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\//.exec(pathname);
  if (tree) return sendTree(files, others, tree[1], response);
  const [, repo, inside] = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.*)$/.exec(pathname) ?? [];
  const path = `${repo}/${decodeURIComponent(inside ?? '')}`;
  const file = files.get(path);
  if (!file) return void response.writeHead(404).end();
  response.writeHead(302, {
    location: `${cdn}/${file.sha256}?path=${encodeURIComponent(path)}`,
    'x-repo-commit': COMMIT,
    'x-linked-size': file.size,
    'x-linked-etag': `"${file.sha256}"`,
    etag: `"${COMMIT}"`, // the pointer's
  });
  response.end();
}

/**
 * @param {Map<string, HubFile>} files
 * @param {Record<string, string[]>} others
 * @param {string} repo
 * @param {Response} response
 */
function sendTree(files, others, repo, response) {
  const file = (/** @type {string} */ path, size = 0, oid = COMMIT) => ({ type: 'file', path, size, oid });
  const own = [...files].filter(([path]) => path.startsWith(`${repo}/`));
  const entries = [
    ...own.map(([path, { size, sha256 }]) => file(path.slice(repo.length + 1), size, sha256)),
    ...(others[repo] ?? []).map((path) =>
      path.endsWith('/') ? { type: 'directory', path: path.slice(0, -1), size: 0, oid: COMMIT } : file(path),
    ),
  ];
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(entries));
}

/**
 * @param {Map<string, HubFile>} files
 * @param {Sent[]} sent
 * @param {Request} request
 * @param {Response} response
 */
async function sendBytes(files, sent, { url = '/', headers }, response) {
  const path = new URL(url, 'http://cdn').searchParams.get('path') ?? '';
  const file = files.get(path);
  if (!file) return void response.writeHead(404).end();
  const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  const range = { path, start, end: start };
  sent.push(range);
  response.writeHead(headers.range ? 206 : 200, {
    'content-length': file.size - start,
    'accept-ranges': 'bytes',
    ...(headers.range && { 'content-range': `bytes ${start}-${file.size - 1}/${file.size}` }),
  });
  for (const piece of file.read(start)) {
    for (let at = 0; at < piece.length; at += SLICE) {
      const slice = piece.subarray(at, at + SLICE);
      // Called once the kernel has it: what waits in this process when the caller dies was not sent.
      const full = !response.write(slice, (error) => void (range.end += error ? 0 : slice.length));
      if (full) await drained(response);
      if (response.destroyed) return;
    }
  }
  response.end();
}

/** Or closed. @param {Response} response */
function drained(response) {
  return new Promise((resolve) => {
    const done = () => resolve(response.off('drain', done).off('close', done));
    response.on('drain', done).on('close', done);
  });
}

/** @param {(request: Request, response: Response) => void} handle */
async function listen(handle) {
  const server = createServer(handle);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  atEnd(() => {
    server.closeAllConnections();
    return once(server.close(), 'close');
  });
  return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
}
