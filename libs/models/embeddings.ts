import { readdir, stat } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { Logger } from '@nestjs/common';
import { errnoOf } from './absent';
import { EMBEDDING_WIDTHS, PIECE_TOKENS } from './family';
import { fileHash, fileStamp } from './file.hash';
import { LORA_NAME } from './family';
import { LoraWeights } from './lora.weights';
import { ModelError } from './model.error';
import { readSafetensors, type TensorInfo } from './safetensors';

/** A textual inversion: vectors that stand for a word of a prompt. */
export interface Embedding {
  /** The file's name without `.safetensors`: the word, in upper or lower case. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** Tokens that it takes of a prompt. */
  readonly vectors: number;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  /** Of the file as it was read. */
  readonly stamp: string;
}

const EXTENSION = '.safetensors';
/** As other programs have them. */
const OTHER_FORMATS = ['.pt', '.bin', '.ckpt', '.png', '.webp'];
/** Of the vectors for the text encoders of other models. */
const OTHER_MODELS: Readonly<Record<number, string>> = { 768: 'SD 1.5', 1024: 'SD 2' };

const logger = new Logger('Embeddings');

/**
 * Embeddings of a folder in the order of their names. What cannot be used is logged and left out: the engine would read the
 * word as words, or draw with what is no number. Throws ModelError where the folder cannot be read.
 */
export async function readEmbeddings(folder: string): Promise<Embedding[]> {
  const found = new Map<string, Embedding>();
  for (const file of await filesOf(folder)) {
    try {
      const embedding = await read(folder, file);
      if (found.has(embedding.name.toLowerCase()))
        throw new ModelError('another file has its name, in other letters');
      found.set(embedding.name.toLowerCase(), embedding);
    } catch (error) {
      const why = error instanceof ModelError ? error.message : `it cannot be read (${errnoOf(error)})`;
      logger.warn(`EMBEDDINGS_DIR: ${file} is left out: ${why}`);
    }
  }
  return [...found.values()];
}

/** The engine reads such files again, some whenever they are asked for. */
export async function isUnchanged({ path, stamp }: Pick<Embedding, 'path' | 'stamp'>): Promise<boolean> {
  const now = await stat(path, { bigint: true }).then(fileStamp, () => undefined);
  return now === stamp;
}

async function filesOf(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((cause: unknown) => {
    const why = errnoOf(cause) ?? 'unknown error';
    throw new ModelError(`EMBEDDINGS_DIR cannot be read (${why}): check the folder.`, { cause });
  });
  return files.filter((file) => [EXTENSION, ...OTHER_FORMATS].includes(extname(file))).sort();
}

async function read(folder: string, file: string): Promise<Embedding> {
  if (extname(file) !== EXTENSION) throw new ModelError(`convert it to ${EXTENSION}`);
  const name = file.slice(0, -EXTENSION.length);
  if (!LORA_NAME.test(name)) throw new ModelError(`its name must match ${LORA_NAME.source}`);
  const path = resolve(join(folder, file));
  const stamp = fileStamp(await stat(path, { bigint: true }));
  const { tensors, dataStart } = await readSafetensors(path);
  const vectors = vectorsOf([...tensors.values()]);
  const weights = new LoraWeights(tensors, dataStart);
  const sha256 = await fileHash(path, (chunk) => weights.pass(chunk));
  if (weights.problem) throw new ModelError(`it ${weights.problem}`);
  return { name, path, vectors, sha256, stamp };
}

/** The engine takes a tensor of each width, whatever it is called, and fills up with zeros what one has less. */
function vectorsOf(tensors: readonly TensorInfo[]): number {
  const [l, g] = EMBEDDING_WIDTHS.map((width) => tensors.find(({ shape }) => shape.at(-1) === width));
  const { shape } = tensors.length === 1 ? tensors[0] : { shape: [] };
  const width = shape.at(-1) ?? 0;
  if (width in OTHER_MODELS)
    throw new ModelError(`it is for ${OTHER_MODELS[width]}: its vectors have ${width} numbers`);
  if (!l || !g || tensors.length !== 2) {
    const [first, second] = EMBEDDING_WIDTHS;
    throw new ModelError(`it does not hold clip_l and clip_g, vectors of ${first} and of ${second} numbers`);
  }
  const [ofL, ofG] = [l, g].map(({ shape: { length, 0: rows } }) => (length === 1 ? 1 : rows));
  if (ofL !== ofG) throw new ModelError(`it does not hold as many vectors for one encoder as for the other`);
  if (ofL < 1 || ofL > PIECE_TOKENS) throw new ModelError(`it does not hold 1 to ${PIECE_TOKENS} vectors`);
  return ofL;
}
