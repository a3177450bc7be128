export {
  MAX_PICTURE_BYTES,
  copyToReference,
  pixelsOfCopy,
  toAvatarPng,
  toOverview,
  toReference,
  type Crop,
  type Turn,
} from './decode';
export { cutOut, resized, surrounded } from './cut';
export { aroundFace, type Framing, type Region } from './framing';
export { putBack } from './feather';
export { keepUnmasked, toMask, toStart, type MaskRule, type Start } from './edits';
export { encodeMask, encodePicture, encodePng, encodePreview } from './encode';
export type { Marks } from './marks';
export { contentTypeOf, OUTPUT_FORMATS, PNG, type Output, type OutputFormat } from './output';
export { isPng } from './picture.parts';
export { shrunk } from './size';
