import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Logger } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { errnoOf, isAbsent } from './absent';
import { FileFacts, fileHash, fileStamp } from './file.hash';
import { LORA_NAME } from './family';
import { kindOf } from './local.files';
import { aboutLora, OWN_BASE, type LoraAbout } from './lora.about';
import { LoraWeights } from './lora.weights';
import { ModelError } from './model.error';
import { readSafetensors } from './safetensors';

export interface Lora {
  /** The file's name without `.safetensors`; what requests name. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** Tensors in the file. The engine counts as many as applied when the LoRA is for this model. */
  readonly tensors: number;
  /** Of the whole file, hexadecimal: shows whether a job gets the weights that it was accepted with. */
  readonly sha256: string;
  readonly about: LoraAbout;
}

type Header = Omit<Lora, 'sha256'>;

const EXTENSION = '.safetensors';
/** Every kind that the engine reads (LoRA in kohya's, diffusers' and PEFT's spelling, LoHa, LoKr) has one of these. */
const LORA_TENSOR = /lora[._](down|up|mid|a|b)\b|lora_(linear_layer|magnitude)|hada_w|lokr_w/i;
const NAMES_IN_MESSAGE = 10;

const logger = new Logger('Loras');
/** By path, the stamp of the file that was warned of: the folder is listed for every GET /v1/loras. */
const warned = new Map<string, string>();

/** What the engine would take without a word, and no picture should be drawn with. */
class UselessLora extends ModelError {}

/** Its weights pass by anyway while they are hashed. */
const contents = new FileFacts(async (path) => {
  const { tensors, dataStart } = await readSafetensors(path);
  const weights = new LoraWeights(tensors, dataStart);
  const sha256 = await fileHash(path, (chunk) => weights.pass(chunk));
  return { sha256, problem: weights.problem };
});

/** LoRAs of a folder by name. Files that are no LoRAs are logged, not offered. No folder: no LoRAs. */
export const listLoras = (folder: string | undefined): Promise<Lora[]> => readAll(folder, read);

/**
 * Throws ServiceError `lora_not_found`, naming what there is; `lora_not_applied` for weights that change nothing or are no
 * numbers; `storage_unavailable` where the disk does not say.
 * Links in the folder may lead out: it is the operator's.
 */
export async function findLora(folder: string | undefined, name: string): Promise<Lora> {
  if (folder && LORA_NAME.test(name)) {
    try {
      if ((await kindOf(join(folder, name + EXTENSION))) === 'file') return await read(folder, name);
    } catch (error) {
      if (error instanceof ModelError) throw unusable(name, error);
      if (!isAbsent(error)) throw unreadable(name, error);
    }
  }
  // Their headers suffice: a caller who mistypes a name does not wait until all files are hashed.
  const there = (await readAll(folder, readHeader)).map((header) => header.name);
  throw notFound(`There is no LoRA "${shorten(name)}". ${offer(there)}`);
}

/** Bytes of the largest of a folder; what cannot be read counts nothing. */
export async function largestLora(folder: string): Promise<number> {
  return (await bySize(folder)).at(-1)?.size ?? 0;
}

/** One that is read soon; undefined: there is none. */
export async function smallestLora(folder: string): Promise<Pick<Lora, 'name' | 'path'> | undefined> {
  const [smallest] = await bySize(folder);
  return smallest && { name: smallest.name, path: smallest.path };
}

async function bySize(folder: string): Promise<{ name: string; path: string; size: number }[]> {
  const found = [];
  for (const name of await names(folder).catch(() => [])) {
    const path = resolve(folder, name + EXTENSION);
    const file = await stat(path).catch(() => undefined);
    if (file) found.push({ name, path, size: file.size });
  }
  return found.sort((a, b) => a.size - b.size);
}

async function readAll<T>(
  folder: string | undefined,
  readOne: (folder: string, name: string) => Promise<T>,
): Promise<T[]> {
  const found: T[] = [];
  for (const name of await names(folder)) {
    try {
      found.push(await readOne(folder!, name));
    } catch (error) {
      const sentence = `${name}${EXTENSION} is not offered: ${(error as Error).message}`;
      await warnOnce(join(folder!, name + EXTENSION), sentence);
    }
  }
  return found;
}

async function names(folder: string | undefined): Promise<string[]> {
  if (!folder) return [];
  const found: string[] = [];
  for (const file of (await entries(folder)).sort()) {
    if (!file.endsWith(EXTENSION)) continue;
    const name = file.slice(0, -EXTENSION.length);
    if (LORA_NAME.test(name)) found.push(name);
    else {
      const sentence = `a file is not offered: its name must match ${LORA_NAME.source}`;
      await warnOnce(join(folder, file), sentence);
    }
  }
  return found;
}

async function readHeader(folder: string, name: string): Promise<Header> {
  const path = resolve(folder, name + EXTENSION);
  const safetensors = await readSafetensors(path);
  const { tensors } = safetensors;
  if (![...tensors.keys()].some((key) => LORA_TENSOR.test(key))) {
    throw new ModelError(`${name}${EXTENSION} holds no LoRA tensors (lora_down, lora_up).`);
  }
  return { name, path, tensors: tensors.size, about: aboutLora(safetensors) };
}

async function read(folder: string, name: string): Promise<Lora> {
  const header = await readHeader(folder, name);
  const { baseModel } = header.about;
  if (baseModel !== undefined && baseModel !== OWN_BASE)
    throw new UselessLora(`${name}${EXTENSION} is for ${baseModel}, not for ${OWN_BASE}.`);
  const { sha256, problem } = await contents.of(header.path);
  if (problem) throw new UselessLora(`${name}${EXTENSION} ${problem}.`);
  return { ...header, sha256 };
}

async function warnOnce(path: string, sentence: string): Promise<void> {
  const stamp = await stat(path, { bigint: true }).then(fileStamp, () => 'unreadable');
  if (warned.get(path) === stamp) return;
  warned.set(path, stamp);
  logger.warn(`LORA_DIR: ${sentence}`);
}

function offer(there: readonly string[]): string {
  if (there.length === 0) return 'This service has no LoRAs.';
  const rest = there.length - NAMES_IN_MESSAGE;
  return `There are: ${there.slice(0, NAMES_IN_MESSAGE).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}.`;
}

/** A folder that goes away, such as a volume that is not mounted, is for the operator to fix. */
const entries = (folder: string): Promise<string[]> =>
  readdir(folder).catch((cause: unknown) => {
    const sentence = 'The folder of the LoRAs (LORA_DIR) cannot be read';
    throw new ServiceError('storage_unavailable', sentence, undefined, { cause });
  });

/** An error of the disk names folders; a caller learns only that it is none of the request. */
const unreadable = (name: string, cause: unknown) =>
  new ServiceError(
    'storage_unavailable',
    `The file of the LoRA "${name}" cannot be read now (${errnoOf(cause) ?? 'unknown error'})`,
    undefined,
    { cause },
  );

const unusable = (name: string, cause: ModelError) => {
  const sentence = `The LoRA "${name}" cannot be used: ${cause.message}`;
  if (!(cause instanceof UselessLora)) return notFound(sentence, cause);
  return new ServiceError('lora_not_applied', sentence, 'loras', { cause });
};
const notFound = (message: string, cause?: unknown) =>
  new ServiceError('lora_not_found', message, 'loras', { cause });
const shorten = (name: string) => (name.length > 128 ? `${name.slice(0, 128)}...` : name);
