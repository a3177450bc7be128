import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '@app/config';
import { BUILT_IN_STYLES } from './built.in.styles';
import { StyleFields } from './style.dto';
import { readStyles } from './style.file';
import { readAs } from '../validation/request.pipe';

describe(readStyles.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'styles-'));
  const path = join(folder, 'styles.yaml');
  afterAll(() => rmSync(folder, { recursive: true }));

  const read = (text: string | Buffer, variables: Record<string, string> = {}) => {
    writeFileSync(path, text);
    return readStyles(loadConfig({ SUBJECT_STYLES: path, ...variables }));
  };
  const problems = async (text: string | Buffer, variables?: Record<string, string>) => {
    const error: unknown = await read(text, variables).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split('\n').map((line) => line.replace(`SUBJECT_STYLES: ${path}, `, ''));
  };
  const names = (styles: readonly { readonly name: string }[]) => styles.map(({ name }) => name);

  it('should have five that are built in, each within the rules of the file', async () => {
    const styles = await readStyles(loadConfig({}));
    expect(names(styles)).toEqual(names(BUILT_IN_STYLES));
    expect(styles).toHaveLength(5);
    for (const { description, prompt, options } of styles) {
      const fields = { description, prompt, ...options };
      expect(await readAs(StyleFields, fields)).toMatchObject(fields);
    }
    expect(styles.map(({ options }) => options.size)).toEqual([
      '896x1152',
      '1024x1024',
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('should draw those that are built in at the size of the service, in their proportions', async () => {
    const [portrait] = await readStyles(loadConfig({ DEFAULT_SIZE: '512x512' }));
    expect(portrait.options.size).toBe('448x576');
    const [large] = await readStyles(loadConfig({ DEFAULT_SIZE: '1408x1408' }));
    expect(large.options.size).toBe('896x1152');
  });

  it('should take those of the file beside them, in their place, and some of them away', async () => {
    const styles = await read(`
# What the house draws.
comic: false
watercolour: { description: Ours, prompt: 'gouache of {prompt}' }
pixel-art:
  description: As games once were
  prompt: pixel art of {prompt}, 16 colours
  negative_prompt: photo
  size: 768x1024
  loras:
    - { name: pixel-art-xl, scale: 1.2 }
  guidance_scale: 6.5
  ip_adapter_scale: 0.4
  num_inference_steps: 24
  sampler: DPM++ 2M Karras
`);
    expect(names(styles)).toEqual([
      ...['studio-portrait', 'business-headshot', 'watercolour', 'black-and-white', 'pixel-art'],
    ]);
    expect(styles[2]).toMatchObject({ description: 'Ours', prompt: 'gouache of {prompt}' });
    expect(styles[2].options.negative_prompt).toBeUndefined();
    expect(styles[4].options).toMatchObject({
      ...{ size: '768x1024', loras: [{ name: 'pixel-art-xl', scale: 1.2 }], guidance_scale: 6.5 },
      ...{ ip_adapter_scale: 0.4, num_inference_steps: 24, sampler: 'DPM++ 2M Karras' },
    });
  });

  it('should say of each style what is wrong, and in which line', async () => {
    const told = await problems(`one:
  description: A look
two:
  description: A look
  prompt: x
  negative: y
three:
  description: A look
  prompt: x
  loras:
    - { name: grain }
    - name: dust
      scale: 9
four: { description: A look, prompt: x, size: 100x100 }
"bad name": { description: A look, prompt: x }
five: false
six: a sentence
seven: { description: A look, prompt: x, loras: [{ name: grain }, { name: grain }] }
`);
    expect(told).toEqual([
      expect.stringMatching(/^line 1: Expected 1 to 2000 characters of text for prompt .*\(style one\)$/),
      expect.stringMatching(/^line 6: Expected only documented fields but received negative \(style two\)$/),
      expect.stringMatching(/^line 13: Expected a number from -2 to 2 for loras.1.scale but received 9/),
      expect.stringMatching(/^line 14: Expected WIDTHxHEIGHT in multiples of 64 .* \(style four\)$/),
      expect.stringMatching(/^line 15: the name of a style must be 1 to 64 of /),
      'line 16: false takes a built-in style away, and there is none called five',
      'line 17: expected { description: ..., prompt: ... } for the style six',
      expect.stringMatching(/^line 18: Expected each LoRA once but received "grain" twice/),
    ]);
  });

  it.each([
    ['a: { description: x\nb: y', /^line \d+: this is not YAML: /],
    ['a: 1\na: 2', /^line 2: this is not YAML: Map keys must be unique/],
    ['- one\n- two', /^line 1: expected styles, each as NAME: /],
    ['', /^line 1: expected styles/],
    [
      `a: &a [x, x]\nb: &b [${'*a, '.repeat(40)}]\nc: &c [${'*b, '.repeat(40)}]`,
      /^line 1: Excessive alias count/,
    ],
  ])('should refuse %j', async (text, message) => expect((await problems(text))[0]).toMatch(message));

  it('should refuse a size that no request would be allowed', async () =>
    expect(
      await problems('a: { description: x, prompt: x, size: 1024x1024 }', {
        ...{ MAX_PIXELS: '262144', DEFAULT_SIZE: '512x512' },
      }),
    ).toEqual([
      expect.stringMatching(/^line 1: Expected at most 262144 pixels \(MAX_PIXELS\) for size but/),
    ]));

  it('should refuse a file that is not there, and one in another encoding', async () => {
    await expect(readStyles(loadConfig({ SUBJECT_STYLES: join(folder, 'none.yaml') }))).rejects.toThrow(
      'SUBJECT_STYLES must be a file that can be read (ENOENT)',
    );
    expect(await problems(Buffer.from('a: b', 'utf16le').fill(0xff, 0, 1))).toEqual([
      'SUBJECT_STYLES must be saved as UTF-8',
    ]);
    expect(() => loadConfig({ SUBJECT_STYLES: 'https://example.com/styles.yaml' })).toThrow(
      'SUBJECT_STYLES must be a path',
    );
  });
});
