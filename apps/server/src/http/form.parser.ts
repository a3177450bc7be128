import { finished } from 'node:stream/promises';
import busboy from 'busboy';
import { ServiceError } from '@app/errors';

/** What a form may hold. */
export interface FormRules {
  readonly parts: number;
  /** Most bytes of a file, and of a text. */
  readonly fileBytes: number;
  readonly textBytes: number;
  /** Fields whose files are kept, and how many of each. Of others there is nothing but that they came. */
  readonly files: Readonly<Record<string, number>>;
}

interface Part {
  readonly name: string;
  /** `NAME[]`: one of a list, also where it is the only one. */
  readonly listed: boolean;
  /** An empty object: fields of an object (`NAME[KEY]`). */
  value: string | Buffer | object;
}

/** `NAME`, `NAME[]`, or `NAME[KEY]`. */
const NAME = /^([^[\]]+)(\[\]|\[.*)?$/s;
const NOT_KEPT = Buffer.alloc(0);

/**
 * Reads multipart/form-data piece by piece, in bounds: texts, and files as bytes. What parts say of themselves beside
 * their names decides nothing. Not by multer, which reads what it refuses to its end before it says so.
 */
export class FormParser {
  private readonly parser: busboy.Busboy;
  private readonly parts: Part[] = [];
  private failure?: ServiceError;

  /** Throws `invalid_request` where the Content-Type tells no boundary. */
  constructor(
    contentType: string,
    private readonly rules: FormRules,
  ) {
    this.parser = parserOf(contentType, rules);
    this.parser
      .on('field', (name: string | undefined, value, { valueTruncated }) => {
        if (valueTruncated) this.fail(tooLarge(name, rules.textBytes));
        else this.add(name, value);
      })
      .on('file', (name: string | undefined, stream) => {
        stream.on('error', () => {}); // the parser's, once more
        stream.on('limit', () => this.fail(tooLarge(name, rules.fileBytes)));
        const part = this.add(name, NOT_KEPT);
        if (!part || !this.keeps(part.name)) return stream.resume();
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
        stream.on('end', () => (part.value = Buffer.concat(chunks)));
      })
      .on('partsLimit', () => this.fail(tooMany(rules.parts)))
      .on('error', () => this.fail(broken()));
  }

  /** Throws what is wrong so far. */
  write(chunk: Buffer): void {
    if (!this.failure) this.parser.write(chunk);
    if (this.failure) throw this.failure;
  }

  /** The fields; one that came more than once is a list. */
  async end(): Promise<Record<string, unknown>> {
    this.parser.end();
    await finished(this.parser).catch(() => this.fail(broken()));
    if (this.failure) throw this.failure;
    const names = new Set(this.parts.map(({ name }) => name));
    return Object.fromEntries([...names].map((name) => [name, this.valueOf(name)]));
  }

  /** Forgets what came. */
  cancel(): void {
    this.parser.destroy();
  }

  private valueOf(of: string): unknown {
    const parts = this.parts.filter(({ name }) => name === of);
    const isObject = parts.some(({ value }) => typeof value === 'object' && !Buffer.isBuffer(value));
    if (isObject) return {};
    return parts.length > 1 || parts[0].listed ? parts.map(({ value }) => value) : parts[0].value;
  }

  private add(field: string | undefined, value: Part['value']): Part | undefined {
    const [, name, brackets] = NAME.exec(field ?? '') ?? [];
    if (name === undefined) return this.fail(broken('a name for each part', 'a part without one'));
    const isObject = brackets !== undefined && brackets !== '[]';
    const part = { name, listed: brackets === '[]', value: isObject ? {} : value };
    this.parts.push(part);
    return part;
  }

  private keeps(name: string): boolean {
    const { files } = this.rules;
    if (!Object.hasOwn(files, name)) return false;
    return (
      this.parts.filter((part) => part.name === name && Buffer.isBuffer(part.value)).length <= files[name]
    );
  }

  private fail(error: ServiceError): undefined {
    this.failure ??= error;
    queueMicrotask(() => this.parser.destroy()); // not among its own steps, which do not expect it
  }
}

function parserOf(contentType: string, { parts, fileBytes, textBytes }: FormRules): busboy.Busboy {
  // The parser's own limits are what is already too much.
  const limits = { parts: parts + 1, fileSize: fileBytes + 1, fieldSize: textBytes + 1 };
  try {
    return busboy({ headers: { 'content-type': contentType }, limits, defParamCharset: 'utf8' });
  } catch {
    throw broken('multipart/form-data with its boundary', 'another Content-Type');
  }
}

const broken = (expected = 'a form as multipart/form-data with an end', received = 'something else') =>
  new ServiceError('invalid_request', `Expected ${expected} as the body but received ${received}`);

const tooMany = (parts: number) =>
  new ServiceError('invalid_request', `Expected a form of at most ${parts} parts but received more`);

function tooLarge(name = '', bytes: number): ServiceError {
  const field = name.slice(0, 100);
  const sentence = `Expected at most ${bytes} bytes for ${field} but received more`;
  return new ServiceError('payload_too_large', sentence, field);
}
