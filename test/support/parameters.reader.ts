import sharp from 'sharp';

/** What an image says, as programs read it that know neither this service nor its code. */
export async function marksOf(file: Buffer | ArrayBuffer) {
  const { comments = [], exif, xmp } = await sharp(file).metadata();
  const texts = comments.filter(({ keyword }) => keyword === 'parameters').map(({ text }) => text);
  const comment = exif && userComment(exif);
  return {
    parameters: [...texts, ...(comment === undefined ? [] : [comment])],
    source: /<Iptc4xmpExt:DigitalSourceType>([^<]*)</.exec(xmp?.toString() ?? '')?.[1],
  };
}

/** TIFF: the entry of a tag in the directory at an offset. */
function entryOf(tiff: Buffer, directory: number, tag: number): number | undefined {
  const count = tiff.readUInt16LE(directory);
  const entries = Array.from({ length: count }, (_, i) => directory + 2 + 12 * i);
  return entries.find((entry) => tiff.readUInt16LE(entry) === tag);
}

/** EXIF's UserComment in UTF-16, big-endian, as Civitai reads it whatever the byte order of the rest is. */
function userComment(exif: Buffer): string | undefined {
  const tiff = exif.toString('latin1', 0, 4) === 'Exif' ? exif.subarray(6) : exif;
  expect(tiff.toString('latin1', 0, 4)).toBe('II*\0');
  const pointer = entryOf(tiff, tiff.readUInt32LE(4), 0x8769);
  const entry = pointer && entryOf(tiff, tiff.readUInt32LE(pointer + 8), 0x9286);
  if (!entry) return undefined;
  const [length, at] = [tiff.readUInt32LE(entry + 4), tiff.readUInt32LE(entry + 8)];
  const comment = Buffer.from(tiff.subarray(at, at + length));
  expect(comment.toString('latin1', 0, 8)).toBe('UNICODE\0');
  return comment.subarray(8).swap16().toString('utf16le');
}

const SETTING = /\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g;

/** As AUTOMATIC1111 1.10 reads it (parse_generation_parameters), without the defaults that it adds. */
export function readParameters(text: string): Record<string, string> {
  const lines = text.trim().split('\n');
  const last = lines.pop()!;
  const settings = [...last.matchAll(SETTING)];
  expect(settings.length).toBeGreaterThanOrEqual(3);
  const prompts: [string[], string[]] = [[], []];
  let negative = 0;
  for (const line of lines.map((each) => each.trim())) {
    const begins = line.startsWith('Negative prompt:');
    if (begins) negative = 1;
    prompts[negative].push(begins ? line.slice('Negative prompt:'.length).trim() : line);
  }
  const read = settings.map(([, name, value]) => [
    name,
    value.startsWith('"') ? (JSON.parse(value) as string) : value,
  ]);
  return {
    Prompt: prompts[0].join('\n'),
    'Negative prompt': prompts[1].join('\n'),
    ...(Object.fromEntries(read) as Record<string, string>),
  };
}
