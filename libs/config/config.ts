import { plainToInstance, Transform } from 'class-transformer';
import {
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsOptional,
  IsUrl,
  Matches,
  Max,
  Min,
  validateSync,
} from 'class-validator';

export interface Size {
  /** pixels */
  readonly width: number;
  readonly height: number;
}

/** The engine works on latents of 1/8 size that its UNet halves three times: sides come in multiples of 64 pixels. */
export const SIZE_STEP = 64;
export const MAX_SIDE = 4096;

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

  /** The address that callers use, for links to pictures. Default: http://localhost:PORT. */
  @IsOptional()
  @HttpUrl()
  SERVICE_URL?: string;

  /** Least level that is logged. */
  @IsIn(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
    message: 'LOG_LEVEL must be one of trace, debug, info, warn, error, silent',
  })
  LOG_LEVEL = 'info';

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

  // --- the process ---

  /** `all`: everything in one process. `api` takes requests, `worker` draws; both need REDIS_URL and S3_BUCKET_NAME. */
  @IsIn(['all', 'api', 'worker'], { message: 'ROLE must be all, api or worker' })
  ROLE: 'all' | 'api' | 'worker' = 'all';

  /** Set: jobs lie in this Redis, and several processes share them. Unset: in DATA_DIR. */
  @IsOptional()
  @Matches(/^rediss?:\/\/\S+$/, { message: 'REDIS_URL must be an address such as redis://localhost:6379' })
  REDIS_URL?: string;

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
   * Engine processes on GPUs, one each: numbers as `nvidia-smi` counts them, separated by commas. Default: the first.
   */
  @List()
  @Matches(/^\d{1,3}$/, {
    each: true,
    message: 'ENGINE_DEVICES must be numbers of GPUs, separated by commas, such as 0,1',
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

  /** true: start only on a GPU; readiness says "no GPU device" otherwise. */
  @Flag()
  REQUIRE_GPU = false;

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
  if (Boolean(config.AWS_ACCESS_KEY_ID) !== Boolean(config.AWS_SECRET_ACCESS_KEY)) {
    problems.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together');
  }
  if (config.ROLE !== 'all' && !(config.REDIS_URL && config.S3_BUCKET_NAME)) {
    problems.push(
      `ROLE ${config.ROLE} needs REDIS_URL and S3_BUCKET_NAME: processes that share jobs must reach the same records and pictures`,
    );
  }
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join('\n'));
  return Object.freeze(config);
}

export const isDemo = (config: Config): boolean => !config.MODEL_FILE && config.MODEL_PATH === 'demo';

/** Whether callers need keys. */
export const hasKeys = ({ API_KEYS, API_KEYS_FILE }: Config): boolean =>
  API_KEYS !== undefined || API_KEYS_FILE !== undefined;

/** The size of a picture whose request names none. */
export function defaultSize(config: Config): Size {
  return (
    parseSize(config.DEFAULT_SIZE ?? '') ??
    (isDemo(config) ? { width: 128, height: 128 } : { width: 1024, height: 1024 })
  );
}

/** Names of all variables, in the order of the class. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(new Config());
