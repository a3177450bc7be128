const { default: TestRunner } = require('jest-runner');

/** Runs the files of a project one after the other, while those of others share the cores. */
module.exports = class SerialRunner extends TestRunner {
  /**
   * @param {import('@jest/types').Config.GlobalConfig} config
   * @param {import('jest-runner').TestRunnerContext} context
   */
  constructor(config, context) {
    super(config, context);
    this.isSerial = true;
  }
};
