import { posix } from 'node:path';

/** Names that are the model of a repository or folder, whatever else is there. */
const KNOWN = ['sd_xl_base_1.0.safetensors'];

/** Files that are no whole checkpoint, or the base model with its first VAE. */
const BESIDE_THE_POINT = /lora|vae|refiner|inpaint|embedding|controlnet|ip-adapter/i;

/**
 * The one checkpoint among file names of a folder: the only one; else a well-known name; else the only one that is a
 * plain model; else its fp16 copy, half the download at the same pictures. undefined when that does not decide.
 */
export function chooseCheckpoint(files: readonly string[]): string | undefined {
  const named = (file: string) => posix.basename(file);
  const plain = files.filter((file) => !BESIDE_THE_POINT.test(named(file)));
  const half = plain.filter((file) => /fp16/i.test(named(file)));
  const known = files.filter((file) => KNOWN.includes(named(file)));
  return [files, known, plain, half].find((candidates) => candidates.length === 1)?.[0];
}

/** A diffusers folder holds the model in parts (unet/, vae/, ...), which the engine does not read. */
export const isDiffusers = (names: readonly string[]): boolean =>
  names.includes('unet') || names.includes('model_index.json');
