import { readFile } from 'node:fs/promises';
import { ConfigError, defaultSize, parseSize, YamlFile, type Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { shrunk } from '@app/pictures';
import { STYLE_NAME, STYLE_NAME_RULE } from '../validation/name.fields';
import { readAs } from '../validation/request.pipe';
import { BUILT_IN_STYLES } from './built.in.styles';
import { StyleFields, type Style } from './style.dto';

const SHAPE = 'NAME: { description: ..., prompt: ... }';

/** Those that are built in, and those of SUBJECT_STYLES in their place or beside them. Throws ConfigError. */
export async function readStyles(config: Config): Promise<Style[]> {
  const styles = new Map(BUILT_IN_STYLES.map((style) => [style.name, inReach(style, config)]));
  if (config.SUBJECT_STYLES === undefined) return [...styles.values()];
  const problems: string[] = [];
  const { SUBJECT_STYLES: path } = config;
  const bytes = await readFile(path).catch(({ code }: NodeJS.ErrnoException) => {
    throw new ConfigError(`SUBJECT_STYLES must be a file that can be read (${code})`);
  });
  const file = new YamlFile('SUBJECT_STYLES', path, bytes, `styles, each as ${SHAPE}`);
  for (const [name, value] of file.entries()) {
    const problem = (sentence: string, path: string[] = []) =>
      problems.push(file.problem(sentence, [name, ...path]));
    if (!STYLE_NAME.test(name)) problem(`the name of a style must be ${STYLE_NAME_RULE}`);
    else if (value !== false && (typeof value !== 'object' || value === null || Array.isArray(value))) {
      problem(`expected { description: ..., prompt: ... } for the style ${name}`);
    } else if (value !== false) {
      try {
        const { description, prompt, ...options } = await readStyle(value, config);
        styles.set(name, { name, description, prompt, options });
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        problem(`${error.message} (style ${name})`, error.param?.split('.'));
      }
    } else if (!styles.delete(name)) {
      problem(`false takes a built-in style away, and there is none called ${name}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return [...styles.values()];
}

/** By the rules of a request, and what else would be refused whenever somebody asks for it. */
async function readStyle(value: unknown, { MAX_PIXELS }: Config): Promise<StyleFields> {
  const style = await readAs(StyleFields, value as object);
  const { size, loras = [] } = style;
  const { width, height } = (size && parseSize(size)) || { width: 0, height: 0 };
  if (width * height > MAX_PIXELS) {
    const sentence = `Expected at most ${MAX_PIXELS} pixels (MAX_PIXELS) for size but received ${size}`;
    throw new ServiceError('invalid_request', sentence, 'size');
  }
  const twice = loras.findIndex(({ name }, i) => loras.some((other, j) => j < i && other.name === name));
  if (twice >= 0) {
    const sentence = `Expected each LoRA once but received "${loras[twice].name}" twice`;
    throw new ServiceError('invalid_request', sentence, `loras.${twice}.name`);
  }
  return style;
}

/** Their sizes are SDXL's own; a service that draws smaller pictures has them in the same proportions. */
function inReach(style: Style, config: Config): Style {
  const { size } = style.options;
  if (size === undefined) return style;
  const usual = defaultSize(config);
  const own = parseSize(size)!;
  const most = Math.min(own.width * own.height, usual.width * usual.height);
  const { width, height } = shrunk(own, most);
  return { ...style, options: { ...style.options, size: `${width}x${height}` } };
}
