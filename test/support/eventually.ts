/** Tries again, until it succeeds or `patience` (milliseconds) is over: then the last failure is its own. */
export async function eventually<T>(attempt: () => T | Promise<T>, patience = 8_000): Promise<T> {
  for (const giveUpAt = performance.now() + patience; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
