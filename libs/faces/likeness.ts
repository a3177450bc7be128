import type { Descriptor } from './face.protocol';

/**
 * How alike two faces are: the cosine of the angle between their descriptors, 0 where that is less. Two pictures of one
 * person have 0.8 to 1, of two persons 0.2 to 0.5: docs/api.md.
 */
export function likeness(one: Descriptor, other: Descriptor): number {
  const cosine = dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other));
  return Math.max(0, Math.round(cosine * 1000) / 1000) || 0;
}

const dot = (one: Descriptor, other: Descriptor) => one.reduce((sum, value, i) => sum + value * other[i], 0);
