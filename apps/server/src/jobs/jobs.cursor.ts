import { ValidateBy } from 'class-validator';

/*
 * Where a page of a list ended: the `place.seq` of its last job, packed so that nobody counts on what is in it.
 */

export const writeCursor = (seq: number): string => Buffer.from(String(seq)).toString('base64url');

/** undefined for anything that writeCursor did not write. */
export function readCursor(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined;
  const seq = Number(Buffer.from(text, 'base64url').toString('latin1'));
  // Decoders pass over what they do not know, so only the way back proves the text.
  return Number.isSafeInteger(seq) && seq >= 0 && writeCursor(seq) === text ? seq : undefined;
}

export const IsCursor = () =>
  ValidateBy({
    name: 'cursor',
    validator: {
      validate: (value) => readCursor(value) !== undefined,
      defaultMessage: () => 'the next_cursor of an earlier page',
    },
  });
