import { stat } from 'node:fs/promises';
import { ifThere } from './absent';
import { chooseCheckpoint, isDiffusers } from './checkpoint.choice';
import { HubCache } from './hub.cache';
import type { HubClient, HubFile } from './hub.client';
import { download } from './hub.download';
import { HubDownloads } from './hub.downloads';
import { isUnsafe, type HubReference } from './hub.reference';
import { diskError, ModelError } from './model.error';
import type { OnProgress } from './model.progress';

/** A file that is not here yet, as the hub describes it. */
interface Missing {
  readonly file: HubFile;
  /** Where its bytes belong. */
  readonly blob: string;
}

/** Files of the model hub as local paths: from the cache without a network, else downloaded into it. */
export class HubFiles {
  private readonly cache: HubCache;
  private readonly downloads: HubDownloads;
  private readonly missing = new Map<string, Missing>();

  constructor(
    private readonly client: HubClient,
    /** HF_HOME */
    home: string,
  ) {
    this.cache = new HubCache(home);
    this.downloads = new HubDownloads(home);
  }

  /**
   * Looks at all that will be asked for, so that what does not exist, or does not fit on the disk, shows before the
   * first byte of the first file.
   */
  async prepare(
    wanted: readonly { readonly reference: HubReference; readonly variable: string }[],
  ): Promise<void> {
    try {
      for (const { reference, variable } of wanted) await this.find(reference, variable);
      if (this.missing.size > 0) await this.downloads.expectRoom();
    } catch (error) {
      throw diskError(error, 'HF_HOME');
    }
  }

  /** `variable` is what a failure is blamed on. */
  async get(reference: HubReference, variable: string, onProgress: OnProgress): Promise<string> {
    await this.prepare([{ reference, variable }]);
    try {
      const found = await this.find(reference, variable);
      return typeof found === 'string' ? found : await this.fetch(found, reference, variable, onProgress);
    } catch (error) {
      throw diskError(error, 'HF_HOME');
    }
  }

  /** Its path, or what the hub says of it, which is asked once. */
  private async find(reference: HubReference, variable: string): Promise<string | Missing> {
    const path = reference.path ?? (await this.choose(reference, variable));
    const key = `${reference.repo}@${reference.revision}:${path}`;
    const found = (await this.cache.find({ ...reference, path })) ?? this.missing.get(key);
    if (found) return found;
    const file = await this.client.describe({ ...reference, path }, variable);
    const missing = { file, blob: this.cache.blob(file) };
    if (!(await isWhole(missing))) await this.downloads.add(file, missing.blob);
    this.missing.set(key, missing);
    return missing;
  }

  private async fetch(
    missing: Missing,
    { revision }: HubReference,
    variable: string,
    onProgress: OnProgress,
  ): Promise<string> {
    const { file, blob } = missing;
    if (!(await isWhole(missing))) {
      await download(this.client, file, blob, variable, this.downloads.follow(blob, onProgress));
    }
    return this.cache.link(file, revision);
  }

  private async choose(reference: HubReference, variable: string): Promise<string> {
    const earlier = await this.cache.choice(reference);
    if (earlier) return earlier;
    const { files, folders } = await this.client.list(reference, variable);
    // A listing is the hub's word: its paths become paths here.
    const candidates = files.filter((path) => /\.safetensors$/i.test(path) && !isUnsafe(path));
    const path = chooseCheckpoint(candidates);
    if (!path) throw undecided(candidates, isDiffusers([...files, ...folders]), variable);
    await this.cache.rememberChoice(reference, path);
    return path;
  }
}

/** Under another name or revision the same bytes may be here. */
const isWhole = async ({ file, blob }: Missing): Promise<boolean> =>
  (await ifThere(stat(blob)))?.size === file.size;

function undecided(candidates: readonly string[], diffusers: boolean, variable: string): ModelError {
  if (candidates.length > 0) {
    return new ModelError(
      `${variable}: the repository holds several checkpoints; name one as owner/name:FILE. ` +
        `FILE is one of: ${candidates.slice(0, 20).join(', ')}.`,
    );
  }
  const why = diffusers
    ? ' (it holds the model in parts, as diffusers saves it, which the engine does not read)'
    : '';
  return new ModelError(
    `${variable}: the repository has no single-file checkpoint (*.safetensors) at its top${why}. ` +
      'Name another repository, or one of its files as owner/name:path/in/repository.safetensors.',
  );
}
