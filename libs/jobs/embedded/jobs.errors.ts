import { ServiceError } from '@app/errors';

/** Primary result codes of SQLite (sqlite.org/rescode.html) for which there is advice. */
const REMEDIES: Record<number, string> = {
  3: "DATA_DIR must be writable for the service's user",
  5: 'another program uses jobs.db in DATA_DIR',
  6: 'another program uses jobs.db in DATA_DIR',
  7: 'there is no memory left',
  8: "DATA_DIR must be writable for the service's user",
  10: 'the disk of DATA_DIR has a fault or is full',
  11: 'jobs.db in DATA_DIR is damaged',
  13: 'the disk of DATA_DIR is full',
  14: "DATA_DIR must be writable for the service's user",
  23: "DATA_DIR must be writable for the service's user",
  26: 'jobs.db in DATA_DIR is damaged',
};

/** SQLite's primary result code; undefined for errors of others. The lower byte of an extended code is the primary one. */
export function resultCode(error: unknown): number | undefined {
  const { rawCode } = error as { rawCode?: number };
  return rawCode === undefined ? undefined : rawCode & 0xff;
}

export const isBusy = (error: unknown): boolean => [5, 6].includes(resultCode(error) ?? 0);
export const isDamaged = (error: unknown): boolean => [11, 26].includes(resultCode(error) ?? 0);

/** The ServiceError for what the disk or its file is to blame for. Anything else is a defect and stays as it is. */
export function databaseUnavailable(error: unknown): unknown {
  const remedy = REMEDIES[resultCode(error) ?? 0];
  if (remedy === undefined) return error;
  const message = `The jobs cannot be read or written (${(error as { code: string }).code}): ${remedy}.`;
  return new ServiceError('storage_unavailable', message, undefined, { cause: error });
}
