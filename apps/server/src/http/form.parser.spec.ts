import { FormParser, type FormRules } from './form.parser';

const BOUNDARY = 'edge';
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
const RULES: FormRules = { parts: 10, fileBytes: 1000, textBytes: 100, files: { image: 2 } };

interface Part {
  readonly name?: string;
  readonly head?: string;
  readonly body?: string | Buffer;
}

/** As clients write it. */
function form(...parts: Part[]): Buffer {
  const pieces = parts.flatMap(({ name, head = '', body = '' }) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data${name === undefined ? '' : `; name="${name}"`}${head}\r\n\r\n`,
    body,
    '\r\n',
  ]);
  return Buffer.concat([...pieces, `--${BOUNDARY}--\r\n`].map((piece) => Buffer.from(piece)));
}
const file = (name: string, body: string | Buffer): Part => ({ name, body, head: '; filename="a"' });

/** In pieces of so many bytes. */
async function parse(bytes: Buffer, { type = TYPE, rules = RULES, size = bytes.length } = {}) {
  const parser = new FormParser(type, rules);
  for (let at = 0; at < bytes.length; at += size) parser.write(bytes.subarray(at, at + size));
  return parser.end();
}

describe(FormParser.name, () => {
  const noise = Buffer.from(Array.from({ length: 900 }, (_, i) => (i * 7919) % 256));
  const nearly = Buffer.from(`\r\n--edg\r\n--${BOUNDARY.slice(0, 3)}\r\n\r`);

  it.each([1, 2, 7, 64, 100_000])('should read a form in pieces of %i bytes', async (size) => {
    const bytes = form(
      { name: 'prompt', body: 'ein Füchslein 🦊\r\n--edg' },
      file('image', noise),
      file('image', nearly),
      { name: 'list[]', body: 'one' },
      { name: 'svg[model]', body: 'x' },
      { name: 'image', head: '', body: '' },
    );
    expect(await parse(bytes, { size })).toEqual({
      prompt: 'ein Füchslein 🦊\r\n--edg',
      image: [noise, nearly, ''],
      list: ['one'],
      svg: {},
    });
  });

  it('should take a part for a file that has no name but is of bytes, or says that it is anything', async () => {
    const bytes = { name: 'image', head: '\r\ncontent-type: application/octet-stream', body: noise };
    const text = {
      name: 'image',
      head: '; filename="x"\r\ncontent-type: text/plain; charset=utf-16',
      body: noise,
    };
    expect(await parse(form(bytes, text))).toEqual({ image: [noise, noise] });
  });

  it('should keep no more files than it may, and none of other fields', async () => {
    const files = ['image', 'image', 'image', 'other'].map((name) => file(name, noise));
    const none = Buffer.alloc(0);
    expect(await parse(form(...files))).toEqual({ image: [noise, noise, none], other: none });
  });

  it('should hand out names that lead to prototypes as they are', async () => {
    const fields = await parse(form({ name: '__proto__', body: 'x' }, { name: 'constructor', body: 'y' }));
    expect(Object.entries(fields)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });

  const large = (name: string) => [{ name, body: 'x'.repeat(101) }];
  it.each<[string, Buffer, RegExp]>([
    ['a text', form(...large('prompt')), /at most 100 bytes for prompt/],
    ['a file', form(file('image', Buffer.alloc(1001))), /at most 1000 bytes for image/],
    ['a file that is not kept', form(file('other', Buffer.alloc(1001))), /at most 1000 bytes for other/],
    ['as many parts', form(...Array.from({ length: 11 }, () => ({ name: 'n' }))), /at most 10 parts/],
    ['a name', form(...large('n'.repeat(16_000))), /for n{100} but/],
    ['headers', form({ name: 'n', head: `; x="${'x'.repeat(20_000)}"` }), /multipart\/form-data with an end/],
    ['no name', form({ body: 'x' }), /a name for each part/],
    ['brackets for a name', form({ name: '[]', body: 'x' }), /a name for each part/],
    ['nothing', Buffer.alloc(0), /with an end/],
    ['another boundary', Buffer.from('--other\r\n\r\n--other--'), /with an end/],
    ['half of a file', form(file('image', noise)).subarray(0, 500), /with an end/],
    ['half of a header', form(file('image', noise)).subarray(0, 40), /with an end/],
    ['half of a text', form({ name: 'prompt', body: 'a fox' }).subarray(0, 65), /with an end/],
  ])('should refuse %s that is too much, or too little', async (_name, bytes, message) => {
    for (const size of [3, bytes.length || 1]) await expect(parse(bytes, { size })).rejects.toThrow(message);
  });

  it('should take what is just not too much', async () => {
    const parts = Array.from({ length: 9 }, (_, i) => ({ name: `n${i}`, body: 'x'.repeat(100) }));
    const fields = await parse(form(file('image', Buffer.alloc(1000)), ...parts));
    expect(fields.image).toHaveLength(1000);
    expect(Object.keys(fields)).toHaveLength(10);
  });

  it('should refuse at the byte that is too much, and read no further', () => {
    const parser = new FormParser(TYPE, RULES);
    const bytes = form(file('image', Buffer.alloc(2000)));
    const end = bytes.indexOf('\r\n\r\n') + 4;
    parser.write(bytes.subarray(0, end + 1000));
    expect(() => parser.write(Buffer.alloc(1))).toThrow(/at most 1000 bytes/);
    expect(() => parser.write(Buffer.alloc(1))).toThrow(/at most 1000 bytes/);
    parser.cancel();
  });

  it.each([
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/mixed; boundary=x',
    'multipart/',
  ])('should refuse %s', (type) => expect(() => new FormParser(type, RULES)).toThrow(/with its boundary/));
});
