import { defaultSize, isDemo, signsLinks } from './config';
import { ConfigError, loadConfig } from './load.config';
import { parseSize } from './size';

const problemsOf = (env: NodeJS.ProcessEnv): string[] => {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split('\n');
  }
};

describe('loadConfig', () => {
  it('should give working defaults to an empty environment', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      PORT: 8000,
      HOST: '127.0.0.1',
      ENABLE_IP_ADAPTER: true,
      DATA_DIR: 'data',
    });
    expect(defaultSize(config)).toEqual({ width: 1024, height: 1024 });
    expect(isDemo(config)).toBe(false);
  });

  it('should read numbers, flags and lists, and take empty variables as unset', () => {
    const config = loadConfig({
      PORT: '0',
      ENABLE_LORA: 'FALSE',
      REQUIRE_GPU: '1',
      MODEL_FILE: '',
      REFERENCE_URL_ALLOW: '10.0.0.0/8, media.internal,',
    });
    expect(config).toMatchObject({ PORT: 0, ENABLE_LORA: false, REQUIRE_GPU: true });
    expect(config.MODEL_FILE).toBeUndefined();
    expect(config.REFERENCE_URL_ALLOW).toEqual(['10.0.0.0/8', 'media.internal']);
  });

  it('should draw small by default with the demo checkpoint, unless a file wins over it', () => {
    expect(defaultSize(loadConfig({ MODEL_PATH: 'demo' }))).toEqual({ width: 128, height: 128 });
    expect(defaultSize(loadConfig({ MODEL_PATH: 'demo', DEFAULT_SIZE: '64x192' }))).toEqual({
      width: 64,
      height: 192,
    });
    expect(isDemo(loadConfig({ MODEL_PATH: 'demo', MODEL_FILE: '/models/x.safetensors' }))).toBe(false);
  });

  it.each([
    ['PORT', '65536'],
    ['PORT', '80a'],
    ['PORT', '-1'],
    ['HOST', '0.0.0.0'],
    ['LOG_LEVEL', 'loud'],
    ['ALLOW_ANONYMOUS', 'maybe'],
    ['RATE_LIMIT_PER_KEY', '-1'],
    ['RATE_LIMIT_PER_ADDRESS', 'many'],
    ['TRUST_PROXY', 'true'],
    ['METRICS_PORT', 'x'],
    ['MAX_CONNECTIONS', '0'],
    ['CORS_ORIGINS', 'pages.example.com'],
    ['CORS_ORIGINS', 'https://app.example.com/'],
    ['CORS_ORIGINS', 'https://APP.example.com'],
    ['CORS_ORIGINS', '*,https://app.example.com'],
    ['LOG_PROMPTS', 'some'],
    ['ENABLE_LORA', 'perhaps'],
    ['DEFAULT_SIZE', '100x70'],
    ['DEFAULT_SIZE', '64x8192'],
    ['MAX_PIXELS', '20'],
    ['MEMORY_PROMPT_TEMPLATE', 'no place for it'],
    ['S3_BUCKET_NAME', 'Not A Bucket'],
    ['S3_ENDPOINT', 'ftp://secret-host'],
    ['S3_AVATAR_PREFIX', '/avatars'],
    ['S3_AVATAR_PREFIX', '../avatars/'],
    ['SERVICE_URL', 'my-host'],
    ['ENGINE_THREADS', '0'],
    ['VAE_TILING', 'sometimes'],
    ['URL_EXPIRY', '-7'],
    ['URL_EXPIRY', '604801'],
    ['URL_SECRET', 'too short a secret'],
    ['S3_PUBLIC_ENDPOINT', 's3.secret-host'],
    ['REFERENCE_URL_ALLOW', 'http://x'],
    ['ROLE', 'boss'],
    ['REDIS_URL', '"redis://secret-host"'],
    ['REDIS_URL', 'redis://secret-host/jobs'],
    ['REDIS_URL', 'redis://secret-host/-1'],
    ['REDIS_URL', 'redis://secret-host/1st'],
    ['REDIS_URL', 'redis://secret-host?db=one'],
    ['REDIS_URL', 'redis://secret-host,other-host/1'],
    ['REDIS_URL', 'redis://:half%an-escape@secret-host'],
    ['REDIS_URL', 'redis+sentinel://secret-host:26379'],
    ['REDIS_URL', 'redis+sentinel://one:two/secret-host'],
    ['REDIS_URL', 'redis://:not#a-secret@redis.example'],
    ['REDIS_URL', 'redis://ann:not?a-secret@redis.example'],
    ['REDIS_URL', 'redis://ann:12?a-secret@redis.example'],
    ['REDIS_URL', 'redis://:12?a-secret@redis.example'],
    ['REDIS_URL', 'redis://ann:not/a-secret@redis.example'],
    ['REDIS_URL', 'redis://ann:not-a-secret'],
    ['MODEL_PATH', 'https://files.example.com/sdxl.safetensors'],
    ['MODEL_PATH', 's3://bucket/sdxl.safetensors'],
    ['VAE_PATH', 'https://huggingface.co.example.com/owner/name'],
    ['MODEL_FILE', 'https://huggingface.co/owner/name/resolve/main/a.safetensors'],
    ['LORA_DIR', 'file:///models/loras'],
    ['MEMORY_LORAS', '../film-grain'],
    ['MEMORY_LORAS', 'film-grain:strong'],
    ['MEMORY_LORAS', 'film-grain:'],
    ['SUBJECT_LORAS', 'film-grain:2.5'],
    ['SUBJECT_LORAS', 'film-grain,night,film-grain:1'],
    ['SUBJECT_LORAS', 'a,b,c,d,e,f,g,h,i'],
    ['HF_TOKEN', 'hf_not\na-secret'],
    ['HF_TOKEN', '\ufeffhf_not-a-secret'],
    ['HF_TOKEN', '\u201chf_not-a-secret\u201d'],
    ['HF_TOKEN', 'hf_not-a-secret\u2026'],
    ['AWS_SESSION_TOKEN', 'not\ra-secret'],
    ['AWS_SESSION_TOKEN', 'not-a-secret\n'],
    ['AWS_SESSION_TOKEN', 'not-a-secret'],
    ['AWS_REGION', 'eu\nsecret'],
    ['AWS_REGION', 'eu central 1'],
    ['AWS_REGION', 'EU (Frankfurt)'],
    ['DATA_DIR', '~/data'],
    ['API_KEYS_FILE', '$HOME/keys.json'],
    ['S3_PATH_STYLE', 'path'],
    ['HF_TOKEN', 'hf_secret\u200b'],
    ['PORT', '8000\r'],
    ['MAX_WAIT', '5 '],
  ])('should refuse %s=%s with a sentence that names the variable but not the value', (variable, value) => {
    const problems = problemsOf({ [variable]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${variable} must `));
    expect(problems[0]).not.toContain(value);
  });

  it.each(['127.0.0.1', '127.8.0.1', '::1', '::ffff:127.0.0.1', 'localhost', 'LOCALHOST'])(
    'should listen on %s without keys',
    (HOST) => expect(problemsOf({ HOST })).toEqual([]),
  );

  it.each(['0.0.0.0', '::', '10.0.0.7', '::ffff:10.0.0.7', 'my-host', 'localhost.example'])(
    'should listen on %s only with keys, or when everybody may call',
    (HOST) => {
      expect(problemsOf({ HOST })).toEqual([expect.stringContaining('ALLOW_ANONYMOUS=true')]);
      expect(problemsOf({ HOST, API_KEYS: '[]' })).toEqual([]);
      expect(problemsOf({ HOST, API_KEYS_FILE: '/keys.json' })).toEqual([]);
      expect(problemsOf({ HOST, ALLOW_ANONYMOUS: 'true' })).toEqual([]);
      const worker = { HOST, ROLE: 'worker', REDIS_URL: 'redis://localhost', S3_BUCKET_NAME: 'pictures' };
      expect(problemsOf(worker)).toEqual([]);
    },
  );

  it('should refuse METRICS_PORT on PORT, unless both take a free one', () => {
    expect(problemsOf({ PORT: '8000', METRICS_PORT: '8000' })).toEqual([
      'METRICS_PORT must be another port than PORT',
    ]);
    expect(problemsOf({ PORT: '0', METRICS_PORT: '0' })).toEqual([]);
  });

  it('should take origins, and * alone', () => {
    const origins = 'https://app.example.com, http://localhost:5173,http://[::1]:80';
    expect(loadConfig({ CORS_ORIGINS: origins }).CORS_ORIGINS).toHaveLength(3);
    expect(loadConfig({ CORS_ORIGINS: '*' }).CORS_ORIGINS).toEqual(['*']);
  });

  it('should take a GPU twice by its number, and no device twice by its name', () => {
    expect(loadConfig({ ENGINE_DEVICES: '0,0,GPU-1a,GPU-1a' }).ENGINE_DEVICES).toHaveLength(4);
    for (const devices of ['CPU,CPU', 'CUDA0,CUDA0'])
      expect(problemsOf({ ENGINE_DEVICES: devices })).toContainEqual(
        expect.stringContaining('each device once'),
      );
  });

  it.each(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])(
    'should refuse %s that no header can hold',
    (name) => {
      const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key', AWS_SESSION_TOKEN: 'token' };
      expect(problemsOf(keys)).toEqual([]);
      for (const value of ['two\nlines', 'two words', 'na\u00efve', 'ends\n']) {
        expect(problemsOf({ ...keys, [name]: value })).toEqual([
          expect.stringMatching(new RegExp(`^${name} must `)),
        ]);
      }
    },
  );

  it.each([
    ...['redis://localhost', 'rediss://ann:p%40ss@redis.example:6380/15?family=6', 'redis://[::1]:6379/'],
    ...[
      'redis://',
      'redis:///3',
      'redis://ann:p@ss@redis.example',
      'redis://redis_1?',
      'redis://h/1?keyPrefix=a#b',
    ],
    ...['redis+sentinel://:secret@one,two:26380/mymaster/1', 'rediss+sentinel://one/main?sentinelPassword=x'],
  ])('should take REDIS_URL=%s', (REDIS_URL) =>
    expect(problemsOf({ REDIS_URL, S3_BUCKET_NAME: 'pictures' })).toEqual([]),
  );

  it.each(['all', 'api', 'worker'])(
    'should refuse ROLE=%s with jobs that others reach, and pictures on its own disk',
    (ROLE) => {
      const problems = problemsOf({ ROLE, REDIS_URL: 'redis://redis:6379' });
      expect(problems).toEqual([
        expect.stringMatching(/^\w+.* S3_BUCKET_NAME: processes that share jobs must reach the same/),
      ]);
      expect(problemsOf({ ROLE, REDIS_URL: 'redis://redis:6379', S3_BUCKET_NAME: 'pictures' })).toEqual([]);
    },
  );

  it('should say what to set where one process keeps its jobs in a Redis', () => {
    expect(problemsOf({ REDIS_URL: 'redis://redis:6379' })).toEqual([
      expect.stringContaining('leave REDIS_URL unset'),
    ]);
    expect(problemsOf({ S3_BUCKET_NAME: 'pictures' })).toEqual([]);
    expect(problemsOf({})).toEqual([]);
  });

  it('should take addresses of the model hub and of its mirror', () => {
    const file = '/owner/name/resolve/main/a.safetensors';
    for (const MODEL_PATH of [`https://huggingface.co${file}`, `https://www.hf.co${file}`])
      expect(problemsOf({ MODEL_PATH, HF_ENDPOINT: 'https://hub.example.com' })).toEqual([]);
    expect(
      problemsOf({ VAE_PATH: `http://hub.example.com:80${file}`, HF_ENDPOINT: 'http://hub.example.com:80/' }),
    ).toEqual([]);
  });

  it('should refuse an address of the storage that names the bucket already', () => {
    const at = (S3_ENDPOINT: string, more: NodeJS.ProcessEnv = {}) =>
      problemsOf({ S3_BUCKET_NAME: 'pictures', S3_ENDPOINT, ...more });
    expect(at('https://s3.example.com/pictures/')).toEqual([
      'S3_ENDPOINT must not end in the bucket, which S3_BUCKET_NAME adds to it',
    ]);
    expect(at('https://pictures.s3.example.com')).toEqual([
      expect.stringMatching(/^S3_ENDPOINT must not begin with the bucket.*set S3_PATH_STYLE=true$/),
    ]);
    expect(
      problemsOf({ S3_BUCKET_NAME: 'pictures', S3_PUBLIC_ENDPOINT: 'https://cdn.example.com/pictures' }),
    ).toEqual(['S3_PUBLIC_ENDPOINT must not end in the bucket, which S3_BUCKET_NAME adds to it']);
    expect(at('https://pictures.example.com', { S3_PATH_STYLE: 'true' })).toEqual([]);
    expect(at('https://s3.example.com/gateway')).toEqual([]);
    expect(at('https://picturesque.example.com')).toEqual([]);
  });

  it('should tell every problem at once', () => {
    expect(problemsOf({ PORT: 'x', LOG_LEVEL: 'x' })).toHaveLength(2);
  });

  it('should refuse half a pair of credentials and a default size over the limit', () => {
    expect(problemsOf({ AWS_ACCESS_KEY_ID: 'id' })).toEqual([
      expect.stringContaining('must be set together'),
    ]);
    expect(problemsOf({ S3_GENERATED_PREFIX: 'avatars/' })).toEqual([
      expect.stringContaining('must be separate'),
    ]);
    for (const inside of ['faces/', 'faces/ann/', 'inputs/']) {
      expect(problemsOf({ S3_SUBJECT_PREFIX: inside })).toEqual([
        expect.stringMatching(/^S3_AVATAR_PREFIX, .* must not be inside inputs\/ or faces\/$/),
      ]);
    }
    expect(problemsOf({ LORA_S3_PREFIX: 'loras/' })).toEqual([
      expect.stringMatching(/^LORA_S3_PREFIX needs S3_BUCKET_NAME/),
    ]);
    const bucket = { S3_BUCKET_NAME: 'pictures', LORA_S3_PREFIX: 'loras/' };
    expect(problemsOf(bucket)).toEqual([]);
    expect(problemsOf({ ...bucket, LORA_DIR: '/loras' })).toEqual([
      expect.stringContaining('must not be set together'),
    ]);
    expect(problemsOf({ ...bucket, LORA_S3_PREFIX: 'generated/loras/' })).toEqual([
      expect.stringContaining('must be separate'),
    ]);
    expect(problemsOf({ SUBJECT_LORAS: 'night', ENABLE_LORA: 'false' })).toEqual([
      'SUBJECT_LORAS needs ENABLE_LORA',
    ]);
    expect(problemsOf({ MAX_PIXELS: '4096' })).toEqual([
      expect.stringContaining('MAX_PIXELS must be at least'),
    ]);
  });
});

describe('signsLinks', () => {
  const signs = (env: NodeJS.ProcessEnv) => signsLinks(loadConfig(env));
  const bucket = { S3_BUCKET_NAME: 'pictures', URL_EXPIRY: '60' };

  it('should hold where there are keys and links do not lead to a bucket', () => {
    expect(signs({})).toBe(false);
    expect(signs({ URL_EXPIRY: '60' })).toBe(false);
    expect(signs({ API_KEYS: '[]' })).toBe(true);
    expect(signs({ API_KEYS_FILE: 'keys.json', URL_EXPIRY: '60' })).toBe(true);
    expect(signs({ API_KEYS: '[]', S3_BUCKET_NAME: 'pictures' })).toBe(true);
    expect(signs({ API_KEYS: '[]', ...bucket })).toBe(false);
  });

  it('should ask for URL_SECRET where several processes sign', () => {
    const shared = { API_KEYS: '[]', REDIS_URL: 'redis://redis:6379', S3_BUCKET_NAME: 'pictures' };
    expect(problemsOf(shared)).toEqual([expect.stringMatching(/^URL_SECRET must be set with keys/)]);
    expect(problemsOf({ ...shared, URL_SECRET: 'x'.repeat(32) })).toEqual([]);
    expect(problemsOf({ ...shared, URL_EXPIRY: '60' })).toEqual([]);
    expect(problemsOf({ ...shared, API_KEYS: '' })).toEqual([]);
    // A worker makes no links.
    expect(problemsOf({ ...shared, ROLE: 'worker' })).toEqual([]);
  });
});

describe('parseSize', () => {
  it.each(['', '64', '64x', 'x64', '0x64', '65x64', '64x64x64', '4160x64', '6.4x64', ' 64x64'])(
    'should refuse "%s"',
    (text) => expect(parseSize(text)).toBeUndefined(),
  );

  it('should read both sides', () => expect(parseSize('64x4096')).toEqual({ width: 64, height: 4096 }));
});
