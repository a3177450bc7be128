/**
 * The fair order is start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996), the callers
 * being the flows: start = max(virtual time, largest finish of the caller's queued and running jobs), finish = start +
 * cost. The virtual time is the largest start of all jobs that ever went to running, and restarts nowhere: it only
 * grows. Each store works this out where it accepts a job, in one transaction with the record.
 */

/** A job's place in the fair order: by `start`, then by `seq`. */
export interface Place {
  /** Counts accepted jobs; also the order of lists. */
  readonly seq: number;
  /** Virtual time at which the job may start, in units of costOf (libs/models/family.ts). */
  readonly start: number;
  /** `start` + the job's cost: where its caller's next job begins. */
  readonly finish: number;
}
