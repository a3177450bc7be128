/**
 * The fair order has two levels, each start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM
 * 1996). Turns go to accounts (a key, or where there are none an address), and each turn of an account goes to one of its
 * callers. So nobody gets more by naming more users, and within an account nobody waits for all of another's jobs.
 *
 * Within an account a job has its place when it is accepted: start = max(the account's virtual time, largest finish of
 * the caller's queued and running jobs), finish = start + cost. That virtual time is the largest start of the account's
 * jobs that ever went to running; it is forgotten with the account's last job.
 *
 * Between accounts the turn of a job follows from what waits before it, see `fairOrder`: a job that comes later may well
 * go before others of its account.
 */

/** A job's place among those of its account: by `start`, then by `seq`. */
export interface Place {
  /** Counts accepted jobs; also the order of lists. */
  readonly seq: number;
  /** Virtual time at which the job may start, in units of costOf (libs/models/family.ts). */
  readonly start: number;
  /** `start` + the job's cost: where its caller's next job begins. */
  readonly finish: number;
}

/** Jobs that wait, of one account, in the order of their places. */
export interface Line<Job> {
  /** Where the turns of the account's jobs that went to running end, in the virtual time of all. */
  readonly finish: number;
  readonly jobs: readonly Job[];
}

/** All that wait, next one first. The virtual time is the largest turn of all jobs that ever went to running. */
export function fairOrder<Job extends Place>(lines: readonly Line<Job>[], virtualTime: number): Job[] {
  const turns = lines.flatMap(({ finish, jobs }) => {
    let turn = Math.max(virtualTime, finish);
    return jobs.map((job) => {
      const own = { job, turn };
      turn += job.finish - job.start;
      return own;
    });
  });
  return turns.sort((a, b) => a.turn - b.turn || a.job.seq - b.job.seq).map(({ job }) => job);
}

/**
 * Whether one more job is taken of an account that has `own` of `all` that are not finished. Alone it may have `limit`; of
 * those that share it, each as many as are left of twice that: so there is always room for another account.
 */
export const hasRoom = (own: number, all: number, limit: number): boolean => own < 2 * limit - all;
