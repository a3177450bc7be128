import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Logger } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { errnoOf, isAbsent } from './absent';
import { FileFacts, fileHash, fileStamp } from './file.hash';
import { kindOf } from './local.files';
import { LORA_NAME } from './family';
import { ModelError } from './model.error';
import { readSafetensors, type SafetensorsHeader } from './safetensors';

/** An ESRGAN model, which enlarges pictures. */
export interface Upscaler {
  /** The file's name without `.safetensors`; what requests name. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** By how much the sides grow: 1, 2 or 4. */
  readonly factor: number;
  /** Of the whole file, hexadecimal: shows whether a job gets the weights that it was accepted with. */
  readonly sha256: string;
}

/** Keeps requests inside the folder, as that of LoRAs does. */
export const UPSCALER_NAME = LORA_NAME;

const EXTENSION = '.safetensors';
const NAMES_IN_MESSAGE = 10;
/** The engine reads RRDBNet as its authors' code saves it, and as older programs do, in one width. */
const FIRST_LAYERS = ['conv_first.weight', 'model.0.weight'];
const [SECOND_ENLARGEMENTS, FIRST_ENLARGEMENTS] = [
  ['conv_up2.weight', 'model.6.weight'],
  ['conv_up1.weight', 'model.3.weight'],
];
const SHAPE = [64, 3, 3, 3];

const logger = new Logger('Upscalers');
/** By path, the stamp of the file that was warned of: the folder is listed for every GET /v1/upscalers. */
const warned = new Map<string, string>();
const facts = new FileFacts(async (path) => ({
  factor: factorOf(await readSafetensors(path)),
  sha256: await fileHash(path),
}));

/** Those of a folder by name. Files that are none are logged, not offered. No folder: no upscalers. */
export async function listUpscalers(folder: string | undefined): Promise<Upscaler[]> {
  const found: Upscaler[] = [];
  for (const name of await names(folder)) {
    try {
      found.push(await read(folder!, name));
    } catch (error) {
      await warnOnce(join(folder!, name + EXTENSION), (error as Error).message);
    }
  }
  return found;
}

/**
 * Throws ServiceError `upscaler_not_found`, naming what there is; `storage_unavailable` where the disk does not say.
 * Links in the folder may lead out: it is the operator's.
 */
export async function findUpscaler(folder: string | undefined, name: string): Promise<Upscaler> {
  if (folder && UPSCALER_NAME.test(name)) {
    try {
      if ((await kindOf(join(folder, name + EXTENSION))) === 'file') return await read(folder, name);
    } catch (error) {
      if (error instanceof ModelError)
        throw notFound(`The upscaler "${name}" cannot be used: ${error.message}`, error);
      if (!isAbsent(error)) throw unreadable(`The file of the upscaler "${name}"`, error);
    }
  }
  throw unknownUpscaler(name, await names(folder));
}

export function unknownUpscaler(name: string, there: readonly string[], where = ''): ServiceError {
  const rest = there.length - NAMES_IN_MESSAGE;
  const shown = `${there.slice(0, NAMES_IN_MESSAGE).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const offer = there.length === 0 ? 'This service has none (UPSCALER_DIR).' : `There are: ${shown}.`;
  return notFound(`There is no upscaler "${name.slice(0, 128)}"${where}. ${offer}`);
}

async function read(folder: string, name: string): Promise<Upscaler> {
  const path = resolve(folder, name + EXTENSION);
  return { name, path, ...(await facts.of(path)) };
}

function factorOf({ tensors }: SafetensorsHeader): number {
  const has = (names: readonly string[]) => names.some((name) => tensors.has(name));
  const shape = FIRST_LAYERS.map((name) => tensors.get(name)?.shape).find((found) => found);
  if (shape?.join() !== SHAPE.join())
    throw new ModelError('it is no ESRGAN model that the engine reads (RRDBNet of 64 features).');
  if (has(SECOND_ENLARGEMENTS)) return 4;
  return has(FIRST_ENLARGEMENTS) ? 2 : 1;
}

async function names(folder: string | undefined): Promise<string[]> {
  if (!folder) return [];
  const files = await readdir(folder).catch((cause: unknown) => {
    throw unreadable('The folder of the upscalers (UPSCALER_DIR)', cause);
  });
  return files
    .filter((file) => file.endsWith(EXTENSION))
    .map((file) => file.slice(0, -EXTENSION.length))
    .filter((name) => UPSCALER_NAME.test(name))
    .sort();
}

async function warnOnce(path: string, why: string): Promise<void> {
  const stamp = await stat(path, { bigint: true }).then(fileStamp, () => 'unreadable');
  if (warned.get(path) === stamp) return;
  warned.set(path, stamp);
  logger.warn(`UPSCALER_DIR: a file is not offered: ${why}`);
}

/** An error of the disk names folders; a caller learns only that it is none of the request. */
const unreadable = (what: string, cause: unknown) => {
  const sentence = `${what} cannot be read now (${errnoOf(cause) ?? 'unknown error'})`;
  return new ServiceError('storage_unavailable', sentence, undefined, { cause });
};
const notFound = (message: string, cause?: unknown) =>
  new ServiceError('upscaler_not_found', message, 'upscale', { cause });
