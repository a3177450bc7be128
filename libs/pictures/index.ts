export {
  MAX_PICTURE_BYTES,
  copyToReference,
  encodePng,
  encodePreview,
  toAvatarPng,
  toReference,
} from './decode';
export { REFERENCE_SIDE } from './reference';
