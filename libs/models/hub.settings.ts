import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '@app/config';
import { errnoOf } from './absent';
import { HubClient } from './hub.client';
import { ModelError } from './model.error';

/** Where downloads are kept. */
export const hubHome = ({ HF_HOME, DATA_DIR }: Config): string =>
  resolve(HF_HOME ?? join(DATA_DIR, 'models'));

/** A client of the hub that the variables name. Throws ModelError. */
export async function openHub(config: Config): Promise<HubClient> {
  const { HF_ENDPOINT: endpoint, HF_HUB_OFFLINE: offline } = config;
  return new HubClient({ endpoint, offline, token: await findToken(config) });
}

/** HF_TOKEN, else that of HF_TOKEN_PATH, else what the hub's own tools left when somebody signed in. */
async function findToken({ HF_TOKEN, HF_TOKEN_PATH, HF_HOME }: Config): Promise<string | undefined> {
  if (HF_TOKEN) return HF_TOKEN;
  if (HF_TOKEN_PATH) {
    const token = await readFile(HF_TOKEN_PATH, 'utf8').catch((error: unknown) => {
      throw new ModelError(`HF_TOKEN_PATH must be a file that can be read (${errnoOf(error)}).`, {
        cause: error,
      });
    });
    if (isToken(token)) return token.trim();
    throw new ModelError('HF_TOKEN_PATH must be a file with one line, the token.');
  }
  const left = join(HF_HOME ?? join(homedir(), '.cache/huggingface'), 'token');
  const token = await readFile(left, 'utf8').catch(() => ''); // nobody said that it is there
  return isToken(token) ? token.trim() : undefined;
}

/** It goes into a header. */
const isToken = (text: string) => /^[\x21-\x7e]+$/.test(text.trim());
