import { loadConfig } from './load.config';
import { nearNames } from './near.names';

describe(nearNames.name, () => {
  it.each([
    ['API_KEY', 'API_KEYS'],
    ['API_KEY_FILE', 'API_KEYS_FILE'],
    ['API_KESY', 'API_KEYS'],
    ['API-KEYS-FILE', 'API_KEYS_FILE'],
    ['api_keys', 'API_KEYS'],
    ['REDIS_URI', 'REDIS_URL'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['DATADIR', 'DATA_DIR'],
    ['POTR', 'PORT'],
    ['S3_BUCKETNAME', 'S3_BUCKET_NAME'],
  ])('should find %s, and tell of %s', (given, meant) =>
    expect(nearNames({ [given]: 'value' })).toEqual([
      `${given} is no variable of the service and not read: is ${meant} meant?`,
    ]),
  );

  it.each([
    'HOME',
    'HOSTNAME',
    'PATH',
    'PWD',
    'SHLVL',
    'MODULEPATH',
    'AWS_PROFILE',
    'HF_HUB_OFFLINE',
    'X',
    '_',
  ])('should let %s be', (name) => expect(nearNames({ [name]: 'value' })).toEqual([]));

  it('should let be what is empty, and what is there beside the right one', () =>
    expect(nearNames({ API_KEY: '', REDIS_URI: 'value', REDIS_URL: 'redis://localhost' })).toEqual([]));
});

describe('loadConfig', () => {
  const open = { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' };

  it.each(['API_KEY', 'API_KEY_FILE', 'api_keys_file'])(
    'should refuse %s where the service would be open without it',
    (name) => {
      const stray = { [name]: 'secret' };
      expect(() => loadConfig({ ...open, ...stray })).toThrow(
        new RegExp(`^${name} must be written API_KEYS(_FILE)?: .*$`),
      );
      expect(() => loadConfig({ ...open, ...stray })).not.toThrow(/secret/);
      expect(() => loadConfig({ ...open, ...stray, API_KEYS: '[]' })).not.toThrow();
      expect(() => loadConfig({ ...open, ...stray, HOST: '127.0.0.1' })).not.toThrow();
      expect(() => loadConfig({ ...open, [name]: '' })).not.toThrow();
    },
  );

  it('should not refuse other near names', () =>
    expect(() => loadConfig({ ...open, LOGLEVEL: 'x' })).not.toThrow());
});
