/**
 * Why the model cannot be had, in a sentence for the operator: the variable, its rule, and what to do. It never
 * repeats a variable's value. Readiness shows the sentence as the reason.
 */
export class ModelError extends Error {
  override readonly name = 'ModelError';
}

const FULL = ['ENOSPC', 'EDQUOT'];
const FAULTY = ['EIO', 'ESTALE', 'ENXIO', 'ETIMEDOUT', 'EREMOTEIO'];
const REFUSED = ['EACCES', 'EPERM', 'EROFS'];

/** Turns what a full or locked disk throws into a sentence about `variable`'s folder; other errors stay as they are. */
export function diskError(error: unknown, variable: string): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (FULL.includes(code)) {
    return new ModelError(
      `The disk of ${variable}'s folder is full: free some space, or set ${variable} to a folder on a larger disk, ` +
        'then start again.',
      { cause: error },
    );
  }
  if (REFUSED.includes(code)) {
    return new ModelError(`${variable} must be a folder that this process can write to.`, { cause: error });
  }
  if (FAULTY.includes(code) && (error as NodeJS.ErrnoException).syscall) {
    return new ModelError(`The disk of ${variable}'s folder gives no answer (${code}): check it.`, {
      cause: error,
    });
  }
  return error;
}
