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
  /** Virtual time at which the job may start, in units of `cost`. */
  readonly start: number;
  /** `start` + the job's cost: where its caller's next job begins. */
  readonly finish: number;
}

/** Half a megapixel and ten steps are one unit: a picture at SDXL's defaults costs about ten, a thumbnail one. */
const UNIT = (1024 * 1024 * 10) / 2;
/** Text encoding and decoding, in steps. */
const FIXED_STEPS = 6;

/** How much of its caller's share a picture takes. */
export const costOf = ({ width, height, steps }: { width: number; height: number; steps: number }): number =>
  Math.max(1, Math.round((width * height * (steps + FIXED_STEPS)) / UNIT));
