/** Closes the output of a run, whatever comes after jest's summary, with `N passed, N failed` over all tiers. */
module.exports = class ClosingLine {
  /** @param {import('@jest/types').Config.GlobalConfig} config */
  constructor(config) {
    this.silent = config.json && !config.outputFile;
  }

  /**
   * @param {unknown} _contexts
   * @param {import('@jest/test-result').AggregatedResult} results
   */
  onRunComplete(_contexts, results) {
    // A file that does not even load holds failures that nobody could count.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    if (this.silent) return;
    process.once('exit', () => process.stdout.write(`${results.numPassedTests} passed, ${failed} failed\n`));
  }
};
