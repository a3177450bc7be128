import { ServiceError, tellFailure } from '@app/errors';

/** The system's code of a failed call (ENOENT, ...), or undefined for anything else. */
export function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** There is no file under that name: it never was, it went away, or a symbolic link or a pipe bears the name. */
export const isAbsent = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errno(error) ?? '');

const REMEDIES: Record<string, string> = {
  ENOSPC: 'the disk of DATA_DIR is full',
  EDQUOT: 'the disk quota of DATA_DIR is used up',
  EFBIG: 'the file is larger than this process may write',
  EACCES: "DATA_DIR must be writable for the service's user",
  EPERM: "DATA_DIR must be writable for the service's user",
  EROFS: 'the disk of DATA_DIR is mounted read-only',
  EMFILE: 'too many files are open: raise the limit of open files',
  ENFILE: 'too many files are open: raise the limit of open files',
  ENOENT: 'the folder DATA_DIR is gone',
  ENOTDIR: 'DATA_DIR must be a folder',
  EEXIST: 'DATA_DIR must be a folder',
  EXDEV: 'DATA_DIR must be on one file system',
  EIO: 'the disk of DATA_DIR has a fault',
};

/** The ServiceError for a failed call. Paths of this machine stay in the cause: callers read the message. */
export function localUnavailable(action: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  tellFailure({ of: 'storage', what: action });
  const code = errno(error) ?? 'unknown error';
  const remedy = REMEDIES[code] ?? 'check the disk of DATA_DIR';
  return new ServiceError(
    'storage_unavailable',
    `The local storage cannot ${action} (${code}): ${remedy}.`,
    undefined,
    {
      cause: error,
    },
  );
}
