import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Logger } from '@nestjs/common';
import { errnoOf } from './absent';
import { fileStamp } from './file.hash';
import { LORA_NAME } from './family';
import { ModelError } from './model.error';
import { readSafetensors, type TensorInfo } from './safetensors';

/** A network that guides where things are in a picture. */
export interface ControlNet {
  /** The file's name without `.safetensors`; what requests name. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly bytes: number;
  /** Of the file as it was read. */
  readonly stamp: string;
}

const EXTENSION = '.safetensors';
/** The parts of a ControlNet in diffusers' format; a union of several has others, which the engine would leave out. */
const PART =
  /^(controlnet_cond_embedding|controlnet_down_blocks|controlnet_mid_block|conv_in|time_embedding|add_embedding|down_blocks|mid_block)\./;
/** What the engine adds up: with other shapes it aborts. */
const SHAPES: Readonly<Record<string, string>> = {
  'conv_in.weight': '320,4,3,3',
  'controlnet_cond_embedding.conv_in.weight': '16,3,3,3',
  'controlnet_down_blocks.8.weight': '1280,1280,1,1',
  'controlnet_mid_block.weight': '1280,1280,1,1',
  'add_embedding.linear_1.weight': '1280,2816',
  'mid_block.attentions.0.transformer_blocks.9.attn2.to_k.weight': '1280,2048',
};
/** Of the original layout of SDXL's checkpoints. */
const MODEL_SHAPE = ['model.diffusion_model.input_blocks.0.0.weight', '320,4,3,3'] as const;
const DTYPES = ['F16', 'BF16', 'F32'];

const logger = new Logger('ControlNets');

/**
 * ControlNets of a folder in the order of their names, for this checkpoint. What the engine would abort with, or draw with
 * only in part, is logged and left out. Throws ModelError where the folder cannot be read.
 */
export async function readControlNets(folder: string, checkpoint: string): Promise<ControlNet[]> {
  const files = await readdir(folder).catch((cause: unknown) => {
    const why = errnoOf(cause) ?? 'unknown error';
    throw new ModelError(`CONTROL_NET_DIR cannot be read (${why}): check the folder.`, { cause });
  });
  const all = files.filter((file) => file.endsWith(EXTENSION)).sort();
  if (all.length > 0 && !(await fits(checkpoint))) {
    logger.warn("CONTROL_NET_DIR: none is offered: the model's UNet is not as wide as SDXL's");
    return [];
  }
  const found: ControlNet[] = [];
  for (const file of all) {
    try {
      found.push(await read(folder, file));
    } catch (error) {
      const why = error instanceof ModelError ? error.message : `it cannot be read (${errnoOf(error)})`;
      logger.warn(`CONTROL_NET_DIR: ${file} is left out: ${why}`);
    }
  }
  return found;
}

/** Of files in other formats the engine is to judge. */
async function fits(checkpoint: string): Promise<boolean> {
  if (!checkpoint.endsWith(EXTENSION)) return true;
  const [name, shape] = MODEL_SHAPE;
  const found = (await readSafetensors(checkpoint)).tensors.get(name);
  return found === undefined || String(found.shape) === shape;
}

async function read(folder: string, file: string): Promise<ControlNet> {
  const name = file.slice(0, -EXTENSION.length);
  if (!LORA_NAME.test(name)) throw new ModelError(`its name must match ${LORA_NAME.source}`);
  const path = resolve(join(folder, file));
  const facts = await stat(path, { bigint: true });
  expectSdxl((await readSafetensors(path)).tensors);
  return { name, path, bytes: Number(facts.size), stamp: fileStamp(facts) };
}

function expectSdxl(tensors: ReadonlyMap<string, TensorInfo>): void {
  const names = [...tensors.keys()];
  if (!names.some((name) => name.startsWith('controlnet_')))
    throw new ModelError("it is no ControlNet in diffusers' format");
  const other = names.find((name) => !PART.test(name));
  if (other) throw new ModelError(`it has parts that the engine does not know (${other})`);
  const wrong = Object.keys(SHAPES).find((name) => String(tensors.get(name)?.shape) !== SHAPES[name]);
  if (wrong)
    throw new ModelError(
      `it is not for the whole SDXL: ${wrong} is not ${SHAPES[wrong].replaceAll(',', 'x')}`,
    );
  const unread = [...tensors.values()].find(({ dtype }) => !DTYPES.includes(dtype));
  if (unread) throw new ModelError(`its weights are ${unread.dtype}, not ${DTYPES.join(', ')}`);
}
