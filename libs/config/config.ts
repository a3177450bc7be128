import { plainToInstance, Transform } from 'class-transformer';
import {
  ArrayUnique,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsOptional,
  IsUrl,
  Matches,
  Max,
  Min,
  MinLength,
  validateSync,
} from 'class-validator';
import ipaddr from 'ipaddr.js';
import { DEFAULT_SIDE, MAX_SIDE, SIZE_STEP } from '@app/models/family';

export interface Size {
  /** pixels */
  readonly width: number;
  readonly height: number;
}

/** "WIDTHxHEIGHT" in pixels -> Size, or undefined when it is not one the engine can make unchanged. */
export function parseSize(text: string): Size | undefined {
  const match = /^([1-9]\d{1,4})x([1-9]\d{1,4})$/.exec(text);
  if (!match) return undefined;
  const [width, height] = [Number(match[1]), Number(match[2])];
  const fits = (side: number) => side >= SIZE_STEP && side <= MAX_SIDE && side % SIZE_STEP === 0;
  return fits(width) && fits(height) ? { width, height } : undefined;
}

const Flag = () => (target: object, key: string) => {
  Transform(
    ({ value }: { value: unknown }) =>
      ({ true: true, '1': true, false: false, '0': false })[String(value).toLowerCase()] ?? value,
  )(target, key);
  IsBoolean({ message: `${key} must be true or false` })(target, key);
};

const Whole = (min: number, max: number) => (target: object, key: string) => {
  Transform(({ value }: { value: unknown }) => (/^\d+$/.test(String(value)) ? Number(value) : value))(
    target,
    key,
  );
  const message = `${key} must be a whole number from ${min} to ${max}`;
  IsInt({ message })(target, key);
  Min(min, { message })(target, key);
  Max(max, { message })(target, key);
};

/** Values separated by commas. */
const List = () =>
  Transform(({ value }: { value: unknown }) =>
    (Array.isArray(value) ? value : String(value).split(',')).map((x: string) => x.trim()).filter(Boolean),
  );

const HOSTS = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:.]+(\/\d{1,3})?$/;

const Prefix = () =>
  Matches(/^([A-Za-z0-9_@-][A-Za-z0-9._@-]*\/)+$/, {
    message: '$property must be folder names that end in "/", such as avatars/',
  });

const HttpUrl = () =>
  IsUrl(
    { protocols: ['http', 'https'], require_protocol: true, require_tld: false, allow_underscores: true },
    { message: '$property must be an http or https address, such as http://localhost:8000' },
  );

/**
 * Every environment variable of the service: the property is the variable, its initial value the default.
 * Nothing else reads process.env. `.env.example` follows this file (a test compares them).
 */
export class Config {
  // --- where it listens ---

  /** Address to listen on. The image sets 0.0.0.0; on a bare machine the service stays private. */
  @IsNotEmpty({ message: 'HOST must be an address to listen on, such as 127.0.0.1 or 0.0.0.0' })
  HOST = '127.0.0.1';

  /** TCP port. 0 takes a free one. */
  @Whole(0, 65535)
  PORT = 8000;

  /** Set: /health and /metrics are answered on this port of HOST, and only there. Unset: on PORT. 0 takes a free one. */
  @IsOptional()
  @Whole(0, 65535)
  METRICS_PORT?: number;

  /** Connections at a time; one more is closed at once. METRICS_PORT has as many of its own. */
  @Whole(1, 65535)
  MAX_CONNECTIONS = 2000;

  /** The address that callers use, for links to pictures. Default: http://localhost:PORT. */
  @IsOptional()
  @HttpUrl()
  SERVICE_URL?: string;

  /** Origins whose pages may call, separated by commas, or * alone for all. Unset: none (no CORS headers). */
  @List()
  @Matches(/^(\*|https?:\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?)$/, {
    each: true,
    message:
      'CORS_ORIGINS must be origins as browsers send them, such as https://app.example.com, separated by commas, or *',
  })
  CORS_ORIGINS: string[] = [];

  /** Least level that is logged. */
  @IsIn(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
    message: 'LOG_LEVEL must be one of trace, debug, info, warn, error, silent',
  })
  LOG_LEVEL = 'info';

  /** true: prompt and negative prompt of every accepted job are logged, with its id. Nothing else ever logs them. */
  @Flag()
  LOG_PROMPTS = false;

  // --- who may call ---

  /**
   * Keys of callers as a JSON list of `{name, sha256, scopes, user_id?}`; `npm run key` makes a key and its entry. Unset,
   * and no API_KEYS_FILE: there are no keys, everybody may call.
   */
  @IsOptional()
  API_KEYS?: string;

  /** A file with such a list; read again whenever it changes. */
  @IsOptional()
  API_KEYS_FILE?: string;

  /**
   * true: everybody who reaches HOST may call, as long as there are no keys. Without it and without keys the service
   * listens only to its own machine. The image and the demo set true.
   */
  @Flag()
  ALLOW_ANONYMOUS = false;

  /** Requests a minute that one key may make; 0: any number. Health and metrics are not counted. */
  @Whole(0, 1_000_000)
  RATE_LIMIT_PER_KEY = 1000;

  /** The same for an address (IPv6: a /56) whose requests carry no key, or one that is not known. */
  @Whole(0, 1_000_000)
  RATE_LIMIT_PER_ADDRESS = 1000;

  /**
   * Proxies in front of the service, whose X-Forwarded-For is believed. With more than there are, callers choose the
   * address that they are counted by; with fewer, all of them share the proxy's.
   */
  @Whole(0, 16)
  TRUST_PROXY = 0;

  // --- the process ---

  /** `all`: everything in one process. `api` takes requests, `worker` draws; both need REDIS_URL and S3_BUCKET_NAME. */
  @IsIn(['all', 'api', 'worker'], { message: 'ROLE must be all, api or worker' })
  ROLE: 'all' | 'api' | 'worker' = 'all';

  /** Set: jobs lie in this Redis, and several processes share them. Unset: in DATA_DIR. */
  @IsOptional()
  @Matches(/^rediss?:\/\/\S+$/, { message: 'REDIS_URL must be an address such as redis://localhost:6379' })
  REDIS_URL?: string;

  /** Seconds that running pictures get to finish when the process is told to end; what waits is left to the next one. */
  @Whole(0, 3600)
  DRAIN_SECONDS = 25;

  // --- the model ---

  /** The checkpoint: a hub repository (owner/name), a folder, a file, or `demo`. */
  @IsNotEmpty({ message: 'MODEL_PATH must be a hub repository, a folder, a file or "demo"' })
  MODEL_PATH = 'stabilityai/stable-diffusion-xl-base-1.0';

  /** A local checkpoint file; wins over MODEL_PATH. */
  @IsOptional()
  MODEL_FILE?: string;

  /** A VAE that replaces the checkpoint's: a file or a hub repository. */
  @IsOptional()
  VAE_PATH?: string;

  /** The IP-Adapter: a file, or a file of a hub repository. Default for hub models: h94/IP-Adapter's SDXL ViT-H adapter. */
  @IsOptional()
  IP_ADAPTER_PATH?: string;

  /** The IP-Adapter's image encoder (CLIP ViT-H). */
  @IsOptional()
  CLIP_VISION_PATH?: string;

  /** false: memory and subject answer 422, generations takes no reference picture, and the adapter is not loaded. */
  @Flag()
  ENABLE_IP_ADAPTER = true;

  /** false: requests that name a LoRA answer 422. */
  @Flag()
  ENABLE_LORA = true;

  /** Folder with LoRA files (*.safetensors). Default: the demo's for `demo`, else none. */
  @IsOptional()
  LORA_DIR?: string;

  /** true: a LoRA of which only a part fits the model is an error, not a warning. */
  @Flag()
  LORA_STRICT = false;

  // --- pictures ---

  /** Size when a request names none. Default: 1024x1024; 128x128 for the demo. */
  @IsOptional()
  @Matches(/^\d+x\d+$/, { message: 'DEFAULT_SIZE must be WIDTHxHEIGHT in multiples of 64 from 64 to 4096' })
  DEFAULT_SIZE?: string;

  /** Largest picture, width times height. */
  @Whole(SIZE_STEP * SIZE_STEP, MAX_SIDE * MAX_SIDE)
  MAX_PIXELS = 2_097_152;

  /** What memory draws; {prompt} stands for the request's prompt. */
  @Matches(/\{prompt\}/, { message: 'MEMORY_PROMPT_TEMPLATE must hold {prompt}' })
  MEMORY_PROMPT_TEMPLATE = '{prompt}';

  /** What subject draws. */
  @IsNotEmpty({ message: 'SUBJECT_PROMPT must not be empty' })
  SUBJECT_PROMPT =
    'professional portrait photo, head and shoulders, business attire, soft studio light, neutral background, sharp focus';

  /** The negative prompt when a request has none. */
  NEGATIVE_PROMPT = '';

  // --- the engine ---

  /**
   * Engine processes, one a device, separated by commas: GPUs by number or UUID (as `nvidia-smi` has them; MIG- too) or
   * devices by the engine's names (CUDA0, Vulkan0, CPU). Default: the first GPU, else the processor. A device that is
   * named and not there is told, not replaced.
   */
  @List()
  @Matches(/^(\d{1,3}|(GPU|MIG)-[A-Za-z0-9/-]+|[A-Za-z]+\d{0,3})$/, {
    each: true,
    message:
      'ENGINE_DEVICES must be GPUs by number or UUID, or devices by name, separated by commas: 0,1 or Vulkan0,CPU',
  })
  @ArrayUnique((device: string) => (/^[A-Za-z]+\d*$/.test(device) ? device : {}), {
    message: 'ENGINE_DEVICES must name each device once, except GPUs by number or UUID',
  })
  ENGINE_DEVICES: string[] = [];

  /** Engine processes on a machine without GPUs. Each loads the model and takes its share of the cores. */
  @Whole(1, 64)
  ENGINE_PROCESSES = 1;

  /** Threads of the engine. Default: the physical cores. */
  @IsOptional()
  @Whole(1, 256)
  ENGINE_THREADS?: number;

  /**
   * Weights of the text encoders: `native`, as in the checkpoint, or `q8_0`, 8 bit: on a CPU prompts are encoded 1.6
   * times as fast, and pictures differ slightly. Default: native; q8_0 for the demo.
   */
  @IsOptional()
  @IsIn(['native', 'q8_0'], { message: 'TEXT_ENCODER_TYPE must be native or q8_0' })
  TEXT_ENCODER_TYPE?: 'native' | 'q8_0';

  /**
   * Weights of the IP-Adapter's image encoder: `native`, `f16` (as published it is 32 bit: 1.2 GB less) or `q8_0`, 8 bit,
   * which changes the likeness a little. Default: native; q8_0 for the demo.
   */
  @IsOptional()
  @IsIn(['native', 'f16', 'q8_0'], { message: 'IMAGE_ENCODER_TYPE must be native, f16 or q8_0' })
  IMAGE_ENCODER_TYPE?: 'native' | 'f16' | 'q8_0';

  /** Flash attention in the UNet. Default: on GPUs, where it takes less time and memory. */
  @IsOptional()
  @Flag()
  FLASH_ATTENTION?: boolean;

  /**
   * Direct convolution while pictures are decoded: less than half of the memory. Default: on GPUs, except with an own
   * engine for CUDA, whose kernel may be the slow one of older versions.
   */
  @IsOptional()
  @Flag()
  VAE_DIRECT_CONVOLUTION?: boolean;

  /** Direct convolution in the UNet. Default: off. */
  @IsOptional()
  @Flag()
  UNET_DIRECT_CONVOLUTION?: boolean;

  /**
   * How LoRAs are applied: `runtime` computes them beside the model in each step; `merged` adds them to the weights, which
   * costs no step anything, and a load of the model whenever a picture's LoRAs differ from those of the one before.
   */
  @IsIn(['runtime', 'merged'], { message: 'LORA_MODE must be runtime or merged' })
  LORA_MODE: 'runtime' | 'merged' = 'runtime';

  /**
   * Decode pictures in tiles, which is slower and takes a quarter of the memory or less: `retry` draws a picture that
   * lacked memory while it was decoded once more, in tiles; `always` spares the first attempt; or `never`, where the engine
   * can do without (up to 2048x2048).
   */
  @IsIn(['never', 'retry', 'always'], { message: 'VAE_TILING must be never, retry or always' })
  VAE_TILING: 'never' | 'retry' | 'always' = 'retry';

  /**
   * What of the model stays on an NVIDIA card: `auto` lets the encoders' weights wait in the processor's memory where the
   * default picture fits better then; `fast` keeps all on the card, `small` as little as there is.
   */
  @IsIn(['auto', 'fast', 'small'], { message: 'VRAM_PLAN must be auto, fast or small' })
  VRAM_PLAN: 'auto' | 'fast' | 'small' = 'auto';

  /** true: start only on a GPU; readiness says "no GPU device" otherwise. */
  @Flag()
  REQUIRE_GPU = false;

  /**
   * Seconds that an engine process may be in one phase (loading, encoding a prompt, one step, decoding) before it is
   * taken for hung and killed, until the phase was measured; then 30 s or ten times the measured p99, whichever is more.
   * Six times as long for pictures on a CPU, and more for pictures of more than a megapixel.
   */
  @Whole(1, 86_400)
  PHASE_TIMEOUT = 600;

  // --- jobs ---

  /** Jobs that may wait or run at a time; one more is answered 503 `queue_full`. */
  @Whole(1, 1_000_000)
  QUEUE_LIMIT = 1000;

  /** The same for one caller (user_id, else user), answered 429. Callers that do not say who they are have no such bound. */
  @Whole(1, 1_000_000)
  QUEUE_LIMIT_PER_USER = 100;

  /** Seconds that a job may take from request to picture when its request does not say (`deadline_seconds`). */
  @Whole(1, 604_800)
  DEADLINE_SECONDS = 3600;

  /** Most seconds of `Prefer: wait=N`. */
  @Whole(1, 3600)
  MAX_WAIT = 300;

  /** true: a client that goes away stops its picture, unless others wait for it or it sent an Idempotency-Key. */
  @Flag()
  CANCEL_ON_DISCONNECT = true;

  /** Seconds after which finished jobs and their events are forgotten. */
  @Whole(1, 31_536_000)
  JOB_TTL = 86_400;

  /** Seconds after which pictures are deleted. Unset: never. */
  @IsOptional()
  @Whole(1, 315_360_000)
  RESULT_TTL?: number;

  // --- webhooks ---

  /** Signs webhooks (Standard Webhooks: `whsec_` and base64); two, separated by a comma, while one replaces the other. */
  @List()
  @Matches(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, {
    each: true,
    message:
      'WEBHOOK_SECRET must be whsec_ followed by at least 24 bytes in base64, or two of them with a comma',
  })
  WEBHOOK_SECRET: string[] = [];

  /**
   * Hosts, addresses or CIDRs, separated by commas, that webhooks may reach although they are private, and on any port.
   * Elsewhere webhooks reach public addresses on ports 80 and 443 only.
   */
  @List()
  @Matches(HOSTS, {
    each: true,
    message: 'WEBHOOK_URL_ALLOW must be hosts, addresses or CIDRs, separated by commas',
  })
  WEBHOOK_URL_ALLOW: string[] = [];

  // --- links to pictures ---

  /**
   * Seconds that a link to a picture opens it; at most a week, as S3 has it. With a bucket links lead to it and are
   * presigned; else, where callers need keys, links lead to this service and are signed by it. Unset: nothing is
   * presigned, and what this service signs opens for a day. Without a bucket and without keys links do not expire.
   */
  @IsOptional()
  @Whole(1, 604_800)
  URL_EXPIRY?: number;

  /**
   * Signs links to this service's own pictures, where callers need keys. Unset: made once and kept in DATA_DIR. To be set
   * with REDIS_URL: each process opens what another has signed.
   */
  @IsOptional()
  @MinLength(32, {
    message: 'URL_SECRET must be at least 32 characters, such as `openssl rand -base64 32` makes',
  })
  URL_SECRET?: string;

  // --- storage ---

  /** Records and local pictures. */
  @IsNotEmpty({ message: 'DATA_DIR must be a folder' })
  DATA_DIR = 'data';

  /** Where the demo checkpoint is unpacked (400 MB). Default: DATA_DIR/demo. */
  @IsOptional()
  DEMO_CACHE?: string;

  /** Set: pictures lie in this bucket. Unset: under DATA_DIR. */
  @IsOptional()
  @Matches(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
    message: 'S3_BUCKET_NAME must be a bucket name: 3 to 63 of a-z, 0-9, "." and "-"',
  })
  S3_BUCKET_NAME?: string;

  /** Any S3 server; default: AWS. */
  @IsOptional()
  @HttpUrl()
  S3_ENDPOINT?: string;

  /** Where callers reach that server, for links to the bucket (URL_EXPIRY). Default: S3_ENDPOINT. */
  @IsOptional()
  @HttpUrl()
  S3_PUBLIC_ENDPOINT?: string;

  @IsNotEmpty({ message: 'AWS_REGION must be a region name, such as us-east-1' })
  AWS_REGION = 'us-east-1';

  /** Unset: the SDK's own chain (instance role, profile, ...). */
  @IsOptional()
  AWS_ACCESS_KEY_ID?: string;

  @IsOptional()
  AWS_SECRET_ACCESS_KEY?: string;

  @Prefix()
  S3_AVATAR_PREFIX = 'avatars/';

  @Prefix()
  S3_SUBJECT_PREFIX = 'subjects/';

  @Prefix()
  S3_GENERATED_PREFIX = 'generated/';

  // --- the model hub ---

  @HttpUrl()
  HF_ENDPOINT = 'https://huggingface.co';

  /** For gated or private repositories. */
  @IsOptional()
  HF_TOKEN?: string;

  /** Where downloads lie. Default: DATA_DIR/models. */
  @IsOptional()
  HF_HOME?: string;

  // --- pictures from outside ---

  /**
   * Hosts, addresses or CIDRs, separated by commas, that reference URLs may reach although they are private, and on any
   * port; callers learn from the answers what listens there. Elsewhere they reach public addresses on ports 80 and 443
   * only.
   */
  @List()
  @Matches(HOSTS, {
    each: true,
    message: 'REFERENCE_URL_ALLOW must be hosts, addresses or CIDRs, separated by commas',
  })
  REFERENCE_URL_ALLOW: string[] = [];
}

/** Where copies of reference pictures lie until their job is done. */
export const INPUTS = 'inputs/';

/** Tells which variables are wrong and by which rule, never their values. */
export class ConfigError extends Error {}

/** Variables -> Config. Empty variables count as unset. Throws ConfigError. */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const defaults = new Config() as unknown as Record<string, unknown>;
  const given: Record<string, unknown> = {};
  for (const key of CONFIG_VARIABLES) if (env[key]) given[key] = env[key];
  const config = plainToInstance(Config, { ...defaults, ...given });
  const problems = validateSync(config).flatMap((error) => Object.values(error.constraints ?? {}));
  if (config.METRICS_PORT && config.METRICS_PORT === config.PORT) {
    problems.push('METRICS_PORT must be another port than PORT');
  }
  if (config.CORS_ORIGINS.includes('*') && config.CORS_ORIGINS.length > 1) {
    problems.push('CORS_ORIGINS must be * alone, or origins');
  }
  if (config.DEFAULT_SIZE && !parseSize(config.DEFAULT_SIZE)) {
    problems.push(
      `DEFAULT_SIZE must be WIDTHxHEIGHT in multiples of ${SIZE_STEP} from ${SIZE_STEP} to ${MAX_SIDE}`,
    );
  }
  const size = defaultSize(config);
  if (problems.length === 0 && size.width * size.height > config.MAX_PIXELS) {
    problems.push('MAX_PIXELS must be at least DEFAULT_SIZE');
  }
  const prefixes = [config.S3_AVATAR_PREFIX, config.S3_SUBJECT_PREFIX, config.S3_GENERATED_PREFIX];
  if (prefixes.some((prefix) => prefix.startsWith(INPUTS))) {
    problems.push(`S3_AVATAR_PREFIX, S3_SUBJECT_PREFIX and S3_GENERATED_PREFIX must not lie in ${INPUTS}`);
  }
  if (prefixes.some((one, i) => prefixes.some((other, j) => i !== j && other.startsWith(one)))) {
    problems.push(
      'S3_AVATAR_PREFIX, S3_SUBJECT_PREFIX and S3_GENERATED_PREFIX must lie apart, none inside another',
    );
  }
  if (isOpenToOthers(config) && !config.ALLOW_ANONYMOUS) {
    problems.push(
      'HOST must be an address of this machine alone, such as 127.0.0.1, while there are no keys: set API_KEYS_FILE or API_KEYS (npm run key makes a key), or ALLOW_ANONYMOUS=true if everybody who reaches it may call',
    );
  }
  if (Boolean(config.AWS_ACCESS_KEY_ID) !== Boolean(config.AWS_SECRET_ACCESS_KEY)) {
    problems.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together');
  }
  if (config.ROLE !== 'all' && !(config.REDIS_URL && config.S3_BUCKET_NAME)) {
    problems.push(
      `ROLE ${config.ROLE} needs REDIS_URL and S3_BUCKET_NAME: processes that share jobs must reach the same records and pictures`,
    );
  }
  if (config.ROLE !== 'worker' && config.REDIS_URL && signsLinks(config) && !config.URL_SECRET) {
    problems.push(
      'URL_SECRET must be set with keys and REDIS_URL, unless links lead to a bucket (S3_BUCKET_NAME, URL_EXPIRY): processes that share jobs must sign links alike',
    );
  }
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join('\n'));
  return Object.freeze(config);
}

export const isDemo = (config: Config): boolean => !config.MODEL_FILE && config.MODEL_PATH === 'demo';

/** Whether callers need keys. */
export const hasKeys = ({ API_KEYS, API_KEYS_FILE }: Config): boolean =>
  API_KEYS !== undefined || API_KEYS_FILE !== undefined;

/** Whether other machines may reach the routes, and without a key. A worker has only health. */
export const isOpenToOthers = (config: Config): boolean =>
  config.ROLE !== 'worker' && !hasKeys(config) && !isLoopback(config.HOST);

const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');

/** Whether links to pictures lead to this service and are signed by it; else to the bucket, or all pictures are open. */
export const signsLinks = (config: Config): boolean =>
  hasKeys(config) && !(config.S3_BUCKET_NAME && config.URL_EXPIRY);

/** The size of a picture whose request names none. */
export function defaultSize(config: Config): Size {
  return (
    parseSize(config.DEFAULT_SIZE ?? '') ??
    (isDemo(config) ? { width: 128, height: 128 } : { width: DEFAULT_SIDE, height: DEFAULT_SIDE })
  );
}

/** Names of all variables, in the order of the class. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(new Config());
