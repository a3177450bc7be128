import { describe, it } from '@jest/globals';

/** A program that some suites need and not every machine has. */
export interface Server {
  /** As its users call it. */
  readonly name: string;
  /** The command that installs it. */
  readonly install: string;
  /** Whether it is installed here. */
  readonly available: () => boolean;
}

/**
 * `describe` for a suite that needs `server`. Where it is not installed the suite is skipped and says so on
 * stderr with the command that installs it; with CI=true it fails instead, for there a skipped proof would
 * pass unnoticed.
 */
export function describeWith(server: Server, name: string, suite: () => void): void {
  if (server.available()) return describe(name, suite);
  const missing = `${server.name} is not installed: ${server.install}`;
  if (process.env.CI === 'true') {
    return describe(name, () => {
      it(`needs ${server.name}`, () => {
        throw new Error(missing);
      });
    });
  }
  // Straight to stderr: jest holds back what suites log when it prints summaries only.
  process.stderr.write(`\nSKIPPED ${name}: ${missing}\n\n`);
  describe.skip(`${name} (${missing})`, suite);
}
