export { MAX_PICTURE_BYTES, copyToReference, toAvatarPng, toReference, type Turn } from './decode';
export { encodePicture, encodePng, encodePreview } from './encode';
export type { Marks } from './marks';
export { contentTypeOf, OUTPUT_FORMATS, PNG, type Output, type OutputFormat } from './output';
export { isPng } from './picture.parts';
export { shrunk } from './size';
