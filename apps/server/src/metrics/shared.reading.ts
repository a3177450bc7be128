/** The metrics of one scrape share what they are read from: whoever asks meanwhile gets the same. */
export function sharedReading<T>(read: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | undefined;
  return () => (current ??= read().finally(() => (current = undefined)));
}
