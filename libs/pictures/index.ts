export {
  MAX_PICTURE_BYTES,
  copyToReference,
  pixelsOfCopy,
  toAvatarPng,
  toReference,
  type Turn,
} from './decode';
export { keepUnmasked, toMask, toStart, type Start } from './edits';
export { encodeMask, encodePng, encodePreview } from './encode';
export { isPng } from './picture.parts';
export { shrunk } from './size';
