import { crc32 } from 'node:zlib';
import type { Sharp } from 'sharp';

/** What an image says about itself to programs. */
export interface Marks {
  /** A user's picture is a part of it. */
  readonly composite: boolean;
  /** What made it, as `parameters` of AUTOMATIC1111; absent: not told. */
  readonly parameters?: string;
}

const SOURCES = 'http://cv.iptc.org/newscodes/digitalsourcetype';

/** IPTC's word that it was generated, which laws ask for. */
const xmpOf = ({ composite }: Marks) =>
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
  '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">' +
  `<Iptc4xmpExt:DigitalSourceType>${SOURCES}/${composite ? 'compositeWithTrainedAlgorithmicMedia' : 'trainedAlgorithmicMedia'}</Iptc4xmpExt:DigitalSourceType>` +
  '</rdf:Description></rdf:RDF></x:xmpmeta>';

/** Before the first chunk of data, for readers that look no further; libvips would compress the XMP, which few read. */
export function markPng(png: Buffer, marks: Marks): Buffer {
  const { parameters } = marks;
  const texts = [
    ...(parameters === undefined ? [] : [textChunk('parameters', parameters)]),
    internationalChunk('XML:com.adobe.xmp', xmpOf(marks)),
  ];
  return Buffer.concat([png.subarray(0, PNG_HEAD), ...texts, png.subarray(PNG_HEAD)]);
}

/** Signature and IHDR. */
const PNG_HEAD = 8 + 25;
const ASCII_ONLY = /^[\n\r\t\x20-\x7e]*$/;

/** tEXt, which every reader knows, where all agree on its letters; else iTXt, as AUTOMATIC1111 has it. */
function textChunk(name: string, text: string): Buffer {
  return ASCII_ONLY.test(text)
    ? chunk('tEXt', Buffer.from(`${name}\0${text}`, 'latin1'))
    : internationalChunk(name, text);
}

/** Not compressed, of no language. */
const internationalChunk = (name: string, text: string) =>
  chunk('iTXt', Buffer.from(`${name}\0\0\0\0\0${text}`));

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** EXIF's name for the letters of a comment, in 8 bytes. */
const [ASCII, UNICODE] = ['ASCII\0\0\0', 'UNICODE\0'].map((name) => Buffer.from(name));

/** Bytes of a comment: all of EXIF has 64 kB of a file. */
const MOST_OF_COMMENT = 65_000;

/** JPEG and WebP, which tell nothing of more words than they have room for. libvips knows comments in ASCII alone: it leaves the room, and what is said is written over that. */
export async function markExif(image: Sharp, marks: Marks): Promise<Buffer> {
  const { parameters } = marks;
  const marked = image.withXmp(xmpOf(marks));
  const comment = Buffer.from(parameters ?? '', 'utf16le').swap16();
  if (comment.length === 0 || comment.length > MOST_OF_COMMENT) return marked.toBuffer();
  const room = 'x'.repeat(comment.length);
  const file = await marked.withExif({ IFD2: { UserComment: room } }).toBuffer();
  const at = file.indexOf(Buffer.concat([ASCII, Buffer.from(room)]));
  if (at < 0) throw new Error('libvips left no room for the comment of an image');
  Buffer.concat([UNICODE, comment]).copy(file, at);
  return file;
}
