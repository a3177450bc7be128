/** What the log of a service tells of its engine processes; wants LOG_LEVEL=debug. */
export class EngineNews {
  /** How often each job was drawn to its end. @type {Map<string, number>} */
  drawn = new Map();
  #deaths = 0;
  /** @type {((ready: { loadMs: number, deaths: number }) => void)[]} */
  #waiting = [];

  /** @param {string} line */
  read(line) {
    /** @type {{ msg?: string, job?: string, load_ms?: number, deaths?: number }} */
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      return; // not of the log
    }
    const { msg = '', job, load_ms: loadMs, deaths } = event;
    if (msg === 'Drawn' && job) this.drawn.set(job, (this.drawn.get(job) ?? 0) + 1);
    if (deaths !== undefined) this.#deaths = deaths;
    if (loadMs === undefined) return;
    for (const resolve of this.#waiting.splice(0)) resolve({ loadMs, deaths: this.#deaths });
  }

  /** Resolves when the next engine is ready: how long it loaded, and how many died in a row without a finished picture. */
  nextReady() {
    return /** @type {Promise<{ loadMs: number, deaths: number }>} */ (
      new Promise((resolve) => this.#waiting.push(resolve))
    );
  }
}
