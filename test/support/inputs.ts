import type { Storage } from '@app/storage';

/** Not one by which the maintenance looks at the storage's clock, now and then and for a moment. */
export const isCopy = (key: string): boolean => key.startsWith('inputs/') && !key.startsWith('inputs/clock-');

/** Keys of the pictures that jobs have copied. */
export async function copiesIn(storage: Pick<Storage, 'list'>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list('inputs/')) if (isCopy(key)) keys.push(key);
  return keys.sort();
}
