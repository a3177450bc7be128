/** A repository of the model hub, and perhaps one file in it: `owner/name[@revision][:path/in/repository]`. */
export interface HubReference {
  readonly repo: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  readonly path?: string;
}

const PATTERN =
  /^(?<repo>[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@(?<revision>[\w./-]+))?(?::(?<path>[^:]+))?$/;

/** A repository, or one of its files, as browsers show its address. */
const PAGE =
  /^https?:\/\/[^/]+\/(?<repo>[^/?#]+\/[^/?#]+)(?:\/(?<view>tree|resolve|blob|raw)\/(?<revision>[^/?#]+)(?:\/(?<path>[^?#]+?))?)?\/?(?:[?#].*)?$/i;

/** The same from the address of a page or a download of the hub; undefined for its other pages. */
export function parseHubAddress(text: string): HubReference | undefined {
  const { repo, view, revision = 'main', path } = PAGE.exec(text)?.groups ?? {};
  // Of a tree only the top is the repository; the other views are of one file.
  if (!repo || (view && (view === 'tree') === Boolean(path))) return undefined;
  try {
    const name = `${repo}@${decodeURIComponent(revision)}`;
    return parseHubReference(path ? `${name}:${decodeURIComponent(path)}` : name);
  } catch {
    return undefined; // half an escape
  }
}

/** undefined when the text is no hub reference: a path, for one, or `name` without an owner. */
export function parseHubReference(text: string): HubReference | undefined {
  const { repo, revision = 'main', path } = PATTERN.exec(text)?.groups ?? {};
  if (!repo || isUnsafe(revision) || (path && isUnsafe(path))) return undefined;
  return { repo, revision, path };
}

/** Both become parts of addresses and of paths in the cache. */
export const isUnsafe = (text: string) =>
  text.split('/').some((part) => part === '' || part === '.' || part === '..');

export const HUB_FORM = 'owner/name, owner/name@revision or owner/name:path/in/repository.safetensors';
