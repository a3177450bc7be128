const SHORT = 40;

/** The "received …" of an error message: recognisable, short, and never a whole prompt. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'string') {
    return value.length > SHORT ? `a text of ${[...value].length} characters` : JSON.stringify(value);
  }
  if (Buffer.isBuffer(value)) return 'a file';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'an object';
}
