import { isUtf8 } from 'node:buffer';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { ConfigError } from './load.config';

/** A YAML file whose errors name their line. */
export class YamlFile {
  private readonly document: Document.Parsed;
  private readonly lines = new LineCounter();

  /**
   * Throws ConfigError.
   * @param variable that names the file
   * @param expected what it must hold, in words
   */
  constructor(
    private readonly variable: string,
    private readonly path: string,
    bytes: Buffer,
    expected: string,
  ) {
    if (!isUtf8(bytes)) throw new ConfigError(`${variable} must be saved as UTF-8`);
    this.document = parseDocument(bytes.toString('utf8'), { lineCounter: this.lines, prettyErrors: false });
    const [error] = this.document.errors;
    if (error) throw new ConfigError(this.at(error.pos[0], `this is not YAML: ${error.message}`));
    if (!isMap(this.document.contents)) throw new ConfigError(this.at(0, `expected ${expected}`));
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
    return `${this.variable}: ${this.path}, line ${this.lines.linePos(offset).line}: ${sentence}`;
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
