import { ERRORS, type ErrorRule } from '@app/errors';
import type { JobRecord } from './job.record';

/** What became of a job that ended, as callers see it: `succeeded`, or the code of the error. */
export function outcomeOf({ error }: JobRecord): string {
  return error ? (ruleOf(error.code)?.shownAs ?? error.code) : 'succeeded';
}

/** Whether it is the service that failed, not the caller that asked for what it cannot do or changed their mind. */
export function isFault({ error }: JobRecord): boolean {
  return error !== undefined && (ruleOf(error.code)?.status ?? 500) >= 500;
}

/** Undefined: of a newer process. */
const ruleOf = (code: string) => (ERRORS as Partial<Record<string, ErrorRule>>)[code];
