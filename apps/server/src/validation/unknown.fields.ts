import type { Type } from '@nestjs/common';

const tolerant = new Set<unknown>();

/**
 * A body whose unknown fields are passed over in place of refused: clients of another service send what that one knows, and
 * it does so too.
 */
export const IgnoresUnknown = (): ClassDecorator => (target) => void tolerant.add(target);

export const ignoresUnknown = (metatype: unknown): boolean => tolerant.has(metatype);

/** By the name that the API document has for them. */
export const isTolerantSchema = (name: string): boolean =>
  [...tolerant].some((metatype) => (metatype as Type).name === name);
