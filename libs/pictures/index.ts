export { MAX_PICTURE_BYTES, copyToReference, toAvatarPng, toReference } from './decode';
export { encodePng, encodePreview } from './encode';
export { shrunk } from './size';
