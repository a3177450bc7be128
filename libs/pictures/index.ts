export { MAX_PICTURE_BYTES, copyToReference, toAvatarPng, toReference, type Turn } from './decode';
export { encodePng, encodePreview } from './encode';
export { isPng } from './picture.parts';
export { shrunk } from './size';
