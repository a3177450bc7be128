/** Nothing is under that name: it never was, it went away, or it can be no name. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];

export const errnoOf = (error: unknown): string | undefined =>
  (error as NodeJS.ErrnoException | undefined)?.code;

export const isAbsent = (error: unknown): boolean => ABSENT.includes(errnoOf(error) ?? '');

/**
 * undefined where nothing is under the name. Any other error is thrown: a disk or a server of files that gives no answer
 * (EIO, ESTALE, EACCES) does not say that the file is gone.
 */
export async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
