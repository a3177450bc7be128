import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Config } from './config';
import { ConfigModule } from './config.module';
import { ConfigError, loadConfig } from './load.config';

@Injectable()
class Reader {
  constructor(readonly config: Config) {}
}

describe(ConfigModule.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const file = join(folder, '.env');
  let env: Record<string, string> = {};
  beforeEach(() => {
    env = {};
    jest.replaceProperty(process, 'env', env);
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => rmSync(folder, { recursive: true }));

  const read = (text: string | Buffer) => {
    writeFileSync(file, text);
    return ConfigModule.read(file);
  };

  it('should read a file as editors and shells write it', async () => {
    const lines = [
      '\ufeffPORT=9000',
      '',
      '# a comment',
      'export LOG_LEVEL="warn"',
      "SUBJECT_PROMPT='a portrait, 50 mm # sharp'",
      'ENGINE_DEVICES = 0,1   ',
      'MEMORY_PROMPT_TEMPLATE={prompt}, $PORT',
      'NEGATIVE_PROMPT="two\\nlines"',
    ];
    const expected = {
      PORT: 9000,
      LOG_LEVEL: 'warn',
      SUBJECT_PROMPT: 'a portrait, 50 mm # sharp',
      ENGINE_DEVICES: ['0', '1'],
      MEMORY_PROMPT_TEMPLATE: '{prompt}, $PORT',
      NEGATIVE_PROMPT: 'two\nlines',
    };
    for (const lineBreak of ['\n', '\r\n']) {
      expect(await read(lines.join(lineBreak))).toMatchObject(expected);
      for (const name of Object.keys(env)) delete env[name];
    }
  });

  it.each([
    ['UTF-16', Buffer.from('\ufeffAPI_KEYS_FILE=/keys.json\r\n', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('PORT=9000\n', 'utf16le')],
    ['UTF-16 in the other order', Buffer.from('\ufeffPORT=9000\n', 'utf16le').swap16()],
    ['Latin 1', Buffer.from('SUBJECT_PROMPT=ein schönes Bild\n', 'latin1')],
  ])('should refuse a file in %s, of which it would read nothing or something else', async (_name, bytes) => {
    await expect(read(bytes)).rejects.toThrow(
      new ConfigError(`${file} must be saved as UTF-8, but is in another encoding, such as UTF-16`),
    );
    expect(await read('SUBJECT_PROMPT=ein schönes Bild\n')).toMatchObject({
      SUBJECT_PROMPT: 'ein schönes Bild',
    });
  });

  it('should let the environment win over the file, also where it unsets a variable', async () => {
    Object.assign(env, { PORT: '7000', MODEL_FILE: '' });
    const config = await read('PORT=9000\nMODEL_FILE=/models/x.safetensors\nMAX_WAIT=5\n');
    expect(config).toMatchObject({ PORT: 7000, MODEL_FILE: undefined, MAX_WAIT: 5 });
  });

  it('should hand what else the file holds to the engines, and no default of ours', async () => {
    Object.assign(env, { GGML_VK_VISIBLE_DEVICES: '1' });
    await read('CUDA_VISIBLE_DEVICES=2\nGGML_VK_VISIBLE_DEVICES=0\nPORT=9000\n');
    expect(env).toEqual({ CUDA_VISIBLE_DEVICES: '2', GGML_VK_VISIBLE_DEVICES: '1', PORT: '9000' });
  });

  it('should do without a file', async () =>
    expect(await ConfigModule.read(join(folder, 'nothing'))).toEqual(loadConfig({})));

  it('should say in sentences what is wrong', async () => {
    const wrong = read('PORT=eighty\nLOG_LEVEL=loud\nMODEL_PATH="demo" \nHF_TOKEN="\'hf_secret\'"\n');
    await expect(wrong).rejects.toThrow(ConfigError);
    await expect(wrong).rejects.toThrow(
      /^HF_TOKEN must not be wrapped in quotes.*\nPORT must be.*\nLOG_LEVEL must be.*$/,
    );
    await expect(ConfigModule.read(folder)).rejects.toThrow(
      new ConfigError(`${folder} must be a file that can be read (EISDIR)`),
    );
  });

  it('should hand the one Config to whoever asks for the class', async () => {
    const config = await read('PORT=9000');
    const module = await Test.createTestingModule({
      imports: [ConfigModule.forRoot(config)],
      providers: [Reader],
    }).compile();
    expect(module.get(Reader).config).toBe(config);
  });
});
