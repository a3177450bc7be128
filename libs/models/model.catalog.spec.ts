import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadConfig } from '@app/config';
import { ModelCatalog } from './model.catalog';

describe(ModelCatalog.name, () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'models-'));
    file = join(folder, 'models.yaml');
  });
  beforeEach(() => void jest.spyOn(Logger.prototype, 'log').mockImplementation());
  afterEach(() => {
    rmSync(folder, { recursive: true });
    jest.restoreAllMocks();
  });

  function open(yaml: string, variables: Record<string, string> = {}): ModelCatalog {
    writeFileSync(file, yaml);
    return new ModelCatalog(loadConfig({ MODELS_FILE: file, ...variables }));
  }

  it('should have the one model of the environment without a file', () => {
    const catalog = new ModelCatalog(loadConfig({ MODEL_PATH: 'demo' }));
    expect(catalog.several).toBe(false);
    expect(catalog.all.map(({ name }) => name)).toEqual(['demo']);
  });

  it('should give each model its own settings, else those of the environment', () => {
    const catalog = open(
      [
        'base: { MODEL_PATH: demo, DEFAULT_SIZE: 128x192 }',
        "anime: { MODEL_PATH: /m/anime.safetensors, ENABLE_IP_ADAPTER: false, LORA_DIR: '', aliases: [dall-e-2] }",
      ].join('\n'),
      {
        MODEL_FILE: '/m/other.safetensors',
        VAE_PATH: '/m/vae.safetensors',
        LORA_DIR: '/m/loras',
        QUEUE_LIMIT: '7',
      },
    );
    expect(catalog.several).toBe(true);
    const [base, anime] = catalog.all.map(({ config }) => config);
    const shared = { VAE_PATH: '/m/vae.safetensors', QUEUE_LIMIT: 7, MODEL_FILE: undefined };
    expect(base).toMatchObject({
      ...{ ...shared, MODEL_PATH: 'demo', DEFAULT_SIZE: '128x192', LORA_DIR: '/m/loras' },
      ENABLE_IP_ADAPTER: true,
    });
    expect(anime).toMatchObject({ ...shared, LORA_DIR: undefined, ENABLE_IP_ADAPTER: false });
    expect(catalog.find('dall-e-2')?.name).toBe('anime');
    expect(catalog.find('dall-e-3')?.name).toBe('base');
    expect(catalog.find('x')).toBeUndefined();
  });

  it.each([
    ['{', 'line 1: this is not YAML'],
    ['{}', 'line 1: expected at least one model, as NAME: { MODEL_PATH: ... }'],
    ['a b: { MODEL_PATH: demo }', 'line 1: the name of a model must be'],
    ['a: demo', 'line 1: expected { MODEL_PATH: ... } (model a)'],
    ['a: {}', 'MODEL_PATH must say where its checkpoint is'],
    ['a:\n  MODEL_PATH: demo\n  QUEUE_LIMIT: 3', 'line 3: expected MODEL_PATH, VAE_PATH'],
    ['a:\n  MODEL_PATH: demo\n  DEFAULT_SIZE: 7', 'line 3: DEFAULT_SIZE must be WIDTHxHEIGHT'],
    ['a:\n  MODEL_PATH: [demo]', 'line 2: MODEL_PATH must be one value'],
    ['a:\n  MODEL_PATH: https://example.com/a', 'line 2: MODEL_PATH must not be a web address'],
    ['a:\n  MODEL_PATH: demo\n  aliases: x', 'line 3: aliases must be a list of names'],
    [
      'a: { MODEL_PATH: demo }\nb: { MODEL_PATH: demo, aliases: [a] }',
      'line 2: "a" is a name of the model a already',
    ],
  ])('should say what is wrong with %j, and where', (yaml, problem) => {
    expect(() => open(yaml.replaceAll('\\\n', '\n'))).toThrow(problem);
  });

  it('should take what changed, and keep what did not', async () => {
    const catalog = open('a: { MODEL_PATH: demo }\nb: { MODEL_PATH: demo }');
    const changed = jest.fn();
    catalog.onChange(changed);
    const [a, b] = catalog.all;
    await catalog.reload();
    expect(changed).not.toHaveBeenCalled();
    writeFileSync(
      file,
      'c: { MODEL_PATH: demo }\nb: { MODEL_PATH: demo }\na: { MODEL_PATH: demo, VAE_PATH: /v }',
    );
    await catalog.reload();
    expect(changed).toHaveBeenCalledTimes(1);
    expect(catalog.all.map(({ name }) => name)).toEqual(['c', 'b', 'a']);
    expect(catalog.find('b')?.config).toBe(b.config);
    expect(catalog.find('a')?.config).not.toBe(a.config);
  });

  it('should keep the models while the file is broken or away, and say so once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    const catalog = open('a: { MODEL_PATH: demo }');
    writeFileSync(file, 'a: 7');
    await catalog.reload();
    await catalog.reload();
    expect(catalog.all.map(({ name }) => name)).toEqual(['a']);
    expect(warn).toHaveBeenCalledTimes(1);
    rmSync(file);
    await catalog.reload();
    expect(warn).toHaveBeenCalledTimes(2);
    writeFileSync(file, 'b: { MODEL_PATH: demo }');
    await catalog.reload();
    expect(catalog.all.map(({ name }) => name)).toEqual(['b']);
  });
});
