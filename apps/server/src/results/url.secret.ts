import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, type Config } from '@app/config';

const BYTES = 32;

/** In DATA_DIR. */
export const SECRET_FILE = 'url.secret';

/** What links are signed with: URL_SECRET, else bytes that were made at the first start and outlive the process. */
export async function urlSecret({ URL_SECRET, DATA_DIR }: Config): Promise<string | Buffer> {
  if (URL_SECRET) return URL_SECRET;
  try {
    return (await read(DATA_DIR)) ?? (await make(DATA_DIR));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConfigError(
      `${SECRET_FILE} in DATA_DIR must be a file that the service's user may read and write (${code}); or set URL_SECRET`,
    );
  }
}

async function read(folder: string): Promise<Buffer | undefined> {
  try {
    const secret = await readFile(join(folder, SECRET_FILE));
    if (secret.length === BYTES) return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  throw new ConfigError(
    `${SECRET_FILE} in DATA_DIR must hold ${BYTES} bytes: remove it to make a new one, with which links that were handed out end`,
  );
}

/** Whole or not at all, also when the power goes: links that were handed out must open after the next start. */
async function make(folder: string): Promise<Buffer> {
  const secret = randomBytes(BYTES);
  const temporary = join(folder, `${SECRET_FILE}.tmp`);
  await rm(temporary, { force: true }); // of a process that died here
  try {
    const file = await open(temporary, 'wx', 0o600);
    await file
      .writeFile(secret)
      .then(() => file.sync())
      .finally(() => file.close());
    await rename(temporary, join(folder, SECRET_FILE));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  const names = await open(folder, 'r');
  await names.sync().finally(() => names.close());
  return secret;
}
