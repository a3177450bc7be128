import { open, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { errnoOf, ifThere } from './absent';
import { chooseCheckpoint, isDiffusers } from './checkpoint.choice';
import { ModelError } from './model.error';
import { readSafetensors } from './safetensors';

export type Kind = 'file' | 'folder' | undefined;

/** What is under the path; rejects where that cannot be known now. */
export async function kindOf(path: string): Promise<Kind> {
  const info = await ifThere(stat(path));
  return info?.isFile() ? 'file' : info?.isDirectory() ? 'folder' : undefined;
}

/** The same, and a failure is a ModelError about `variable`. */
export async function kindAt(path: string, variable: string): Promise<Kind> {
  try {
    return await kindOf(path);
  } catch (error) {
    throw unreadable(variable, 'its path', error);
  }
}

const unreadable = (variable: string, what: string, error: unknown) =>
  new ModelError(
    `${variable}: ${what} cannot be read (${errnoOf(error) ?? 'unknown error'}). Check the disk, and the rights of this process.`,
    { cause: error },
  );

/** The checkpoint of a folder, by the rules of checkpoint.choice.ts. */
export async function checkpointIn(folder: string, variable: string): Promise<string> {
  const names = await readdir(folder).catch((error) => {
    throw unreadable(variable, 'the folder', error);
  });
  const kinds = await Promise.all(names.map((name) => kindAt(join(folder, name), variable)));
  const files = names
    .filter((name, i) => kinds[i] === 'file' && /\.(safetensors|gguf|ckpt)$/i.test(name))
    .sort();
  const choice = chooseCheckpoint(files);
  if (choice) return resolve(folder, choice);
  if (files.length > 0) {
    throw new ModelError(
      `${variable} is a folder with several checkpoints (${files.slice(0, 20).join(', ')}): set MODEL_FILE to one of them.`,
    );
  }
  if (isDiffusers(names)) {
    throw new ModelError(
      `${variable} is a folder in which diffusers saved the model in parts (unet/, text_encoder/, ...), which the engine ` +
        'does not read: set MODEL_FILE to the single-file checkpoint (*.safetensors) of the same model.',
    );
  }
  throw new ModelError(
    `${variable} is a folder without a checkpoint: expected one *.safetensors, *.gguf or *.ckpt in it.`,
  );
}

/** Notices what the engine would only answer with "no context", or with a crash: a cut or mistaken file. */
export async function expectWeights(path: string, variable: string): Promise<string> {
  try {
    await expectMagic(path);
    if (/\.safetensors$/i.test(path)) await readSafetensors(path);
  } catch (error) {
    if (error instanceof ModelError) {
      throw new ModelError(`${variable}: ${error.message}`, { cause: error });
    }
    throw unreadable(variable, basename(path), error);
  }
  return path;
}

/** The beginnings of what is copied or downloaded in a model's place. */
const LFS_POINTER = /^version https:\/\/git-lfs/;
const PAGE = /^\s*<(!doctype|html|\?xml)/i;

/** Other formats are the engine's to judge; what is no model at all is not worth its time. */
async function expectMagic(path: string): Promise<void> {
  const start = await readStart(path);
  const name = basename(path);
  if (start.length < 4) throw new ModelError(`${name} is empty. Download or copy it again.`);
  if (LFS_POINTER.test(start)) {
    throw new ModelError(
      `${name} is the pointer that Git LFS leaves in a file's place, not the file: run "git lfs pull" in its repository.`,
    );
  }
  if (/\.gguf$/i.test(path) && !start.startsWith('GGUF')) {
    throw new ModelError(`${name} is not a GGUF file. Download or copy it again.`);
  }
  if (PAGE.test(start)) {
    throw new ModelError(`${name} is a web page, not a model. Download the file itself.`);
  }
}

async function readStart(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
