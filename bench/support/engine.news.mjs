/** What the log of a service tells of its engine processes; wants LOG_LEVEL=debug. */
export class EngineNews {
  /** How often each job was drawn to its end. @type {Map<string, number>} */
  drawn = new Map();
  #stepped = false;
  /** @type {((ready: { loadMs: number, stepped: boolean }) => void)[]} */
  #waiting = [];

  /** @param {string} line */
  read(line) {
    /** @type {{ msg?: string, job?: string, load_ms?: number, stepped?: boolean }} */
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      return; // not of the log
    }
    const { msg = '', job, load_ms: loadMs, stepped } = event;
    if (msg === 'Drawn' && job) this.drawn.set(job, (this.drawn.get(job) ?? 0) + 1);
    if (stepped !== undefined) this.#stepped = stepped;
    if (loadMs === undefined) return;
    for (const resolve of this.#waiting.splice(0)) resolve({ loadMs, stepped: this.#stepped });
  }

  /** Resolves when the next engine is ready: how long it loaded, and whether the one before had finished a step. */
  nextReady() {
    return /** @type {Promise<{ loadMs: number, stepped: boolean }>} */ (
      new Promise((resolve) => this.#waiting.push(resolve))
    );
  }
}
