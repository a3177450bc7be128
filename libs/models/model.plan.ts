import { basename, join, resolve } from 'node:path';
import { type Config, isDemo, isOnHub } from '@app/config';
import { type DemoFiles, demoFolder } from './demo';
import { CLIP_VISION, IP_ADAPTER, SDXL_BASE, SDXL_VAE } from './family';
import { HUB_FORM, type HubReference, parseHubAddress, parseHubReference } from './hub.reference';
import { checkpointIn, kindAt } from './local.files';
import { ModelError } from './model.error';

/** Where one file of the model comes from, and the variable that an error about it names. */
export interface Wanted {
  readonly variable: string;
  readonly from:
    { readonly file: string } | { readonly hub: HubReference } | { readonly demo: keyof DemoFiles };
}

/** What the variables ask for, before anything is downloaded or unpacked. */
export interface ModelPlan {
  /** As users know it: `demo`, the hub repository, or the file's name. */
  readonly name: string;
  readonly checkpoint: Wanted;
  readonly vae?: Wanted;
  readonly ipAdapter?: Wanted;
  /** There whenever the adapter is. */
  readonly clipVision?: Wanted;
  readonly photoMaker?: Wanted;
  readonly loraDir?: string;
  readonly upscalerDir?: string;
}

/**
 * The rules of MODEL_FILE, MODEL_PATH, VAE_PATH, IP_ADAPTER_PATH, CLIP_VISION_PATH, PHOTO_MAKER_PATH, LORA_DIR and UPSCALER_DIR.
 * Whatever can be noticed without the network is noticed here, before gigabytes are fetched. Throws ModelError.
 */
export async function planModel(config: Config): Promise<ModelPlan> {
  const checkpoint = await wantCheckpoint(config);
  const defaults = defaultsFor(checkpoint);
  const vae = await want(config, 'VAE_PATH', defaults.vae);
  const adapter = config.ENABLE_IP_ADAPTER
    ? await want(config, 'IP_ADAPTER_PATH', defaults.ipAdapter)
    : undefined;
  const encoder = adapter && (await want(config, 'CLIP_VISION_PATH', defaults.clipVision));
  if (adapter && !encoder) {
    throw new ModelError(
      `IP_ADAPTER_PATH needs CLIP_VISION_PATH, the adapter's image encoder (for SDXL's ViT-H adapters ${CLIP_VISION}). ` +
        'Set both, or ENABLE_IP_ADAPTER=false.',
    );
  }
  return {
    name: nameOf(checkpoint),
    checkpoint,
    vae,
    ipAdapter: adapter,
    clipVision: encoder,
    photoMaker: await want(config, 'PHOTO_MAKER_PATH', undefined),
    loraDir: await loraFolder(config),
    upscalerDir: await folder(config, 'UPSCALER_DIR'),
  };
}

type Part = 'checkpoint' | 'vae' | 'ipAdapter' | 'clipVision' | 'photoMaker';

/** The files of a model that variables name one by one, or what is asked for in their place. */
export const partsOf = <File>(model: Readonly<Partial<Record<Part, File>>>): File[] => {
  const { checkpoint, vae, ipAdapter, clipVision, photoMaker } = model;
  return [checkpoint, vae, ipAdapter, clipVision, photoMaker].filter((part) => part !== undefined);
};

/** Where the LoRAs of LORA_S3_PREFIX are kept, in files. */
export const mirroredLoras = ({ DATA_DIR }: Pick<Config, 'DATA_DIR'>): string => resolve(DATA_DIR, 'loras');

/** Of LORA_DIR or LORA_S3_PREFIX, an absolute path; the demo's own LoRAs by default; undefined: LoRAs cannot be asked for. */
export async function loraFolder(config: Config): Promise<string | undefined> {
  if (!config.ENABLE_LORA) return undefined;
  if (config.LORA_S3_PREFIX !== undefined) return mirroredLoras(config);
  if (!config.LORA_DIR) return isDemo(config) ? join(demoFolder(), 'loras') : undefined;
  return folder(config, 'LORA_DIR');
}

async function folder(config: Config, variable: 'LORA_DIR' | 'UPSCALER_DIR'): Promise<string | undefined> {
  const path = config[variable];
  if (!path) return undefined;
  if ((await kindAt(path, variable)) === 'folder') return resolve(path);
  throw new ModelError(`${variable} must be a folder that exists: create it, correct it, or leave it unset.`);
}

async function wantCheckpoint(config: Config): Promise<Wanted> {
  if (config.MODEL_FILE) {
    if ((await kindAt(config.MODEL_FILE, 'MODEL_FILE')) !== 'file') {
      throw new ModelError('MODEL_FILE must be a checkpoint file that exists; unset it to use MODEL_PATH.');
    }
    return { variable: 'MODEL_FILE', from: { file: resolve(config.MODEL_FILE) } };
  }
  const variable = 'MODEL_PATH';
  if (isDemo(config)) return { variable, from: { demo: 'checkpoint' } };
  if ((await kindAt(config.MODEL_PATH, variable)) === 'folder') {
    return { variable, from: { file: await checkpointIn(config.MODEL_PATH, variable) } };
  }
  return locate(config, variable, `"demo", a folder, a file that exists, or a hub name (${HUB_FORM})`);
}

/** Files that go with the checkpoint. */
type Companion = 'VAE_PATH' | 'IP_ADAPTER_PATH' | 'CLIP_VISION_PATH' | 'PHOTO_MAKER_PATH';

/** The variable when it is set, else the source's default. */
async function want(
  config: Config,
  variable: Companion,
  fallback: Wanted['from'] | undefined,
): Promise<Wanted | undefined> {
  if (config[variable])
    return locate(
      config,
      variable,
      `a file that exists, or a file of the hub (owner/name:path/in/repository)`,
    );
  return fallback && { variable: `${variable} (its default)`, from: fallback };
}

async function locate(config: Config, variable: 'MODEL_PATH' | Companion, rule: string): Promise<Wanted> {
  const text = config[variable]!;
  if ((await kindAt(text, variable)) === 'file') return { variable, from: { file: resolve(text) } };
  const onHub = isOnHub(text, config);
  const hub = onHub ? parseHubAddress(text) : parseHubReference(text);
  // "models/sdxl.safetensors" reads like owner/name, but whoever writes it means a file.
  const meansFile = hub && !onHub && !hub.path && /\.(safetensors|gguf|ckpt|pth?|bin)$/i.test(text);
  if (!hub || meansFile) throw new ModelError(`${variable} must be ${rule}. There is no such file.`);
  return { variable, from: { hub } };
}

function defaultsFor({ from }: Wanted): Partial<Record<'vae' | 'ipAdapter' | 'clipVision', Wanted['from']>> {
  if ('demo' in from) return { ipAdapter: { demo: 'ipAdapter' }, clipVision: { demo: 'clipVision' } };
  if ('file' in from) return {};
  const hub = (text: string) => ({ hub: parseHubReference(text)! });
  return {
    vae: from.hub.repo === SDXL_BASE ? hub(SDXL_VAE) : undefined,
    ipAdapter: hub(IP_ADAPTER),
    clipVision: hub(CLIP_VISION),
  };
}

function nameOf({ from }: Wanted): string {
  if ('demo' in from) return 'demo';
  return 'file' in from ? basename(from.file) : from.hub.repo;
}
