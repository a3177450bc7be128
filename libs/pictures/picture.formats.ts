/** Formats that people send and that are not taken, by how their files begin; read as Latin-1. */
const OTHERS: readonly [name: string, start: RegExp][] = [
  ['GIF', /^GIF8/],
  ['AVIF', /^.{4}ftyp(?:avi[fs]|.{4,28}avi[fs])/s],
  ['HEIC', /^.{4}ftyp(?:he[iv][cmsx]|mi[af]1|msf1)/s],
  ['TIFF', /^(?:II\*\0|MM\0\*)/],
  ['BMP', /^BM/],
  ['JPEG XL', /^(?:\xff\x0a|\0{3}\x0cJXL )/],
  ['JPEG 2000', /^(?:\xff\x4f\xff\x51|\0{3}\x0cjP {2})/],
  ['SVG', /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!doctype svg[^>]*>\s*)?<svg/is],
];
const NO_PICTURES: readonly [name: string, start: RegExp][] = [
  ['a video', /^(?:.{4}ftyp|\x1aE\xdf\xa3)/s],
  ['a PDF', /^%PDF/],
  ['a web page', /^\s*<(?:!doctype html|html)/i],
];
/** More than any of them has to say. */
const START = 512;

/** What a file is that is neither PNG, JPEG nor WebP, and what to do about it. */
export function describeOther(bytes: Buffer): string {
  const start = bytes.toString('latin1', 0, START);
  const nameIn = (formats: typeof OTHERS) => formats.find(([, pattern]) => pattern.test(start))?.[0];
  const picture = nameIn(OTHERS);
  return picture ? `${picture}: convert it to JPEG or PNG` : (nameIn(NO_PICTURES) ?? 'something else');
}
