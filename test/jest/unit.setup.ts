import { ChildProcess } from 'node:child_process';
import { Server } from 'node:net';

/** A unit spec that opens a port or starts a process belongs to the component tier, and says so here. */
const refuse = (what: string) => (): never => {
  throw new Error(`A unit spec ${what}: name it *.component.spec.ts`);
};

// Far more than any needs: on a loaded machine time decides nothing.
jest.setTimeout(60_000);

beforeAll(() => {
  jest.spyOn(Server.prototype, 'listen').mockImplementation(refuse('opens a port'));
  jest.spyOn(ChildProcess.prototype, 'spawn' as never).mockImplementation(refuse('starts a process'));
});
