import { Config, defaultSize, FACES, INPUTS, isOnHub, isOpenToOthers, signsLinks } from './config';
import { ASKED_STEP, MAX_SIDE, SIZE_STEP } from '@app/models/family';
import { parseSize } from './size';

/** What is wrong with variables that are right by themselves: a sentence each, which begins with the variable's name. */
export const combinationProblems = (config: Config): string[] =>
  [
    ...addresses(config),
    ...models(config),
    ...loras(config),
    ...sizes(config),
    ...storage(config),
    ...processes(config),
  ].filter((problem) => problem !== undefined);

type Problems = (config: Config) => (string | undefined)[];

/** The sentence where it holds. */
const when = (wrong: unknown, problem: string) => (wrong ? problem : undefined);

const addresses: Problems = (config) => [
  when(
    config.METRICS_PORT && config.METRICS_PORT === config.PORT,
    'METRICS_PORT must be another port than PORT',
  ),
  when(
    config.CORS_ORIGINS.includes('*') && config.CORS_ORIGINS.length > 1,
    'CORS_ORIGINS must be * alone, or origins',
  ),
  when(
    isOpenToOthers(config) && !config.ALLOW_ANONYMOUS,
    'HOST must be an address of this machine alone, such as 127.0.0.1, while there are no keys: set API_KEYS_FILE or API_KEYS (npm run key makes a key), or ALLOW_ANONYMOUS=true if everybody who reaches it may call',
  ),
];

/** Said at the start: no later attempt would find a file under a web address. */
const models: Problems = (config) => [
  ...(['MODEL_PATH', 'VAE_PATH', 'IP_ADAPTER_PATH', 'CLIP_VISION_PATH', 'PHOTO_MAKER_PATH'] as const).map(
    (variable) =>
      when(
        isAddress(config[variable]) && !isOnHub(config[variable]!, config),
        `${variable} must not be a web address, except on the model hub (HF_ENDPOINT): download the file and name it`,
      ),
  ),
  ...(
    [
      ...(['MODEL_FILE', 'LORA_DIR', 'UPSCALER_DIR', 'EMBEDDINGS_DIR'] as const),
      ...(['CONTROL_NET_DIR', 'SUBJECT_STYLES', 'MODELS_FILE'] as const),
    ] as const
  ).map((variable) =>
    when(isAddress(config[variable]), `${variable} must be a path on this machine, not a web address`),
  ),
];

const loras: Problems = (config) => [
  ...(['MEMORY_LORAS', 'SUBJECT_LORAS'] as const).map((variable) =>
    when(config[variable].length > 0 && !config.ENABLE_LORA, `${variable} needs ENABLE_LORA`),
  ),
  when(
    config.LORA_S3_PREFIX && !config.S3_BUCKET_NAME,
    'LORA_S3_PREFIX needs S3_BUCKET_NAME, the bucket that it is in; for files of this machine set LORA_DIR',
  ),
  when(config.LORA_S3_PREFIX && config.LORA_DIR, 'LORA_S3_PREFIX and LORA_DIR must not be set together'),
];

const isAddress = (text: string | undefined) => /^[a-z][a-z0-9+.-]*:\/\//i.test(text ?? '');

const sizes: Problems = (config) => {
  const { width, height } = defaultSize(config);
  const wrong = config.DEFAULT_SIZE && !parseSize(config.DEFAULT_SIZE);
  return [
    when(
      wrong,
      `DEFAULT_SIZE must be WIDTHxHEIGHT in multiples of ${ASKED_STEP} from ${SIZE_STEP} to ${MAX_SIDE}`,
    ),
    when(!wrong && width * height > config.MAX_PIXELS, 'MAX_PIXELS must be at least DEFAULT_SIZE'),
  ];
};

const storage: Problems = (config) => {
  const own = [config.S3_AVATAR_PREFIX, config.S3_SUBJECT_PREFIX, config.S3_GENERATED_PREFIX];
  const prefixes = [...own, ...(config.LORA_S3_PREFIX ? [config.LORA_S3_PREFIX] : [])];
  return [
    when(
      prefixes.some((prefix) => prefix.startsWith(INPUTS) || prefix.startsWith(FACES)),
      `S3_AVATAR_PREFIX, S3_SUBJECT_PREFIX, S3_GENERATED_PREFIX and LORA_S3_PREFIX must not be inside ${INPUTS} or ${FACES}`,
    ),
    when(
      prefixes.some((one, i) => prefixes.some((other, j) => i !== j && other.startsWith(one))),
      'S3_AVATAR_PREFIX, S3_SUBJECT_PREFIX, S3_GENERATED_PREFIX and LORA_S3_PREFIX must be separate, none inside another',
    ),
    when(
      Boolean(config.AWS_ACCESS_KEY_ID) !== Boolean(config.AWS_SECRET_ACCESS_KEY),
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together',
    ),
    when(
      config.AWS_SESSION_TOKEN && !config.AWS_ACCESS_KEY_ID,
      'AWS_SESSION_TOKEN must be set with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    ),
    bucketInAddress(config, 'S3_ENDPOINT'),
    bucketInAddress(config, 'S3_PUBLIC_ENDPOINT'),
  ];
};

/** The driver adds the bucket to the address; named twice, objects would be below BUCKET/BUCKET/. */
function bucketInAddress(config: Config, variable: 'S3_ENDPOINT' | 'S3_PUBLIC_ENDPOINT') {
  const { [variable]: address, S3_BUCKET_NAME: bucket, S3_PATH_STYLE: style } = config;
  if (!address || !bucket) return undefined;
  const url = /^https?:\/\/([^/?#]*)([^?#]*)/i.exec(address);
  const [, host = '', path = ''] = url ?? [];
  if (path.split('/').filter(Boolean).at(-1) === bucket)
    return `${variable} must not end in the bucket, which S3_BUCKET_NAME adds to it`;
  // A server may be called as its bucket is: then whoever says how it is addressed knows.
  return when(
    style === undefined && host.toLowerCase().startsWith(`${bucket}.`),
    `${variable} must not begin with the bucket, which S3_BUCKET_NAME adds to it; if the server itself is called so, set S3_PATH_STYLE=true`,
  );
}

const processes: Problems = (config) => [
  when(
    config.ROLE !== 'all' && !(config.REDIS_URL && config.S3_BUCKET_NAME),
    `ROLE ${config.ROLE} needs REDIS_URL and S3_BUCKET_NAME: processes that share jobs must reach the same records and pictures`,
  ),
  when(
    config.ROLE === 'all' && config.REDIS_URL && !config.S3_BUCKET_NAME,
    "REDIS_URL needs S3_BUCKET_NAME: processes that share jobs must reach the same pictures, and DATA_DIR is each one's own. For one process alone leave REDIS_URL unset: its jobs are then kept in DATA_DIR, too",
  ),
  when(
    config.ROLE !== 'worker' && config.REDIS_URL && signsLinks(config) && !config.URL_SECRET,
    'URL_SECRET must be set with keys and REDIS_URL, unless links lead to a bucket (S3_BUCKET_NAME, URL_EXPIRY): processes that share jobs must sign links alike',
  ),
];
