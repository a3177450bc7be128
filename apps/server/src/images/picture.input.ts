/**
 * What clients of other services send as a picture, as `image` of our own requests has it: an address, a data URL, or base64
 * without a word of what it is, which the bytes tell anyway.
 */
export const toInput = (text: string): string =>
  /^(?:https?:|data:)/i.test(text) ? text : `data:;base64,${text}`;

const PICTURE = /^(?:\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP)/s;

/** Whether a text is a PNG, JPEG or WebP picture in base64, by how it begins. */
export const isBase64Picture = (text: string): boolean =>
  PICTURE.test(Buffer.from(text.slice(0, 32), 'base64').toString('latin1'));
