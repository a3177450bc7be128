import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { ConfigError, defaultSize, parseSize, type Config } from '@app/config';
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
  const file = await StyleFile.read(config.SUBJECT_STYLES);
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

/** A YAML file whose errors name their line. */
class StyleFile {
  private constructor(
    private readonly path: string,
    private readonly document: Document.Parsed,
    private readonly lines: LineCounter,
  ) {}

  static async read(path: string): Promise<StyleFile> {
    const bytes = await readFile(path).catch(({ code }: NodeJS.ErrnoException) => {
      throw new ConfigError(`SUBJECT_STYLES must be a file that can be read (${code})`);
    });
    if (!isUtf8(bytes)) throw new ConfigError('SUBJECT_STYLES must be saved as UTF-8');
    const lines = new LineCounter();
    const document = parseDocument(bytes.toString('utf8'), { lineCounter: lines, prettyErrors: false });
    const file = new StyleFile(path, document, lines);
    const [error] = document.errors;
    if (error) throw new ConfigError(file.at(error.pos[0], `this is not YAML: ${error.message}`));
    if (!isMap(document.contents)) throw new ConfigError(file.at(0, `expected styles, each as ${SHAPE}`));
    return file;
  }

  entries(): [name: string, value: unknown][] {
    try {
      return Object.entries(this.document.toJS() as object);
    } catch (error) {
      // Aliases of aliases, which would fill the memory.
      throw new ConfigError(this.at(0, (error as Error).message));
    }
  }

  problem(sentence: string, path: readonly string[]): string {
    return this.at(this.placeOf(path), sentence);
  }

  private at(offset: number, sentence: string): string {
    return `SUBJECT_STYLES: ${this.path}, line ${this.lines.linePos(offset).line}: ${sentence}`;
  }

  /** Where the last part of the path stands that is there: a key, or an entry of a list. */
  private placeOf(path: readonly string[]): number {
    let place: unknown;
    let node: unknown = this.document.contents;
    for (const part of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
        place = pair?.key ?? place;
        node = pair?.value;
      } else if (isSeq(node)) {
        node = node.items[Number(part)];
        place = node ?? place;
      }
    }
    return (place as { readonly range?: [number, number, number] } | undefined)?.range?.[0] ?? 0;
  }
}
