import { stat } from 'node:fs/promises';
import { chooseCheckpoint, isDiffusers } from './checkpoint.choice';
import { HubCache } from './hub.cache';
import type { HubClient } from './hub.client';
import { download } from './hub.download';
import { isUnsafe, type HubReference } from './hub.reference';
import { diskError, ModelError } from './model.error';
import type { OnProgress } from './model.progress';

/** Files of the model hub as local paths: from the cache without a network, else downloaded into it. */
export class HubFiles {
  private readonly cache: HubCache;

  constructor(
    private readonly client: HubClient,
    /** HF_HOME */
    home: string,
  ) {
    this.cache = new HubCache(home);
  }

  /** `variable` is whom a failure is told about. */
  async get(reference: HubReference, variable: string, onProgress: OnProgress): Promise<string> {
    try {
      const path = reference.path ?? (await this.choose(reference, variable));
      const wanted = { ...reference, path };
      return (await this.cache.find(wanted)) ?? (await this.fetch(wanted, variable, onProgress));
    } catch (error) {
      throw diskError(error, 'HF_HOME');
    }
  }

  private async fetch(
    reference: HubReference & { path: string },
    variable: string,
    onProgress: OnProgress,
  ): Promise<string> {
    const file = await this.client.describe(reference, variable);
    const blob = this.cache.blob(file);
    const size = (await stat(blob).catch(() => undefined))?.size;
    if (size !== file.size) await download(this.client, file, blob, variable, onProgress);
    return this.cache.link(file, reference.revision);
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
