import { Writable } from 'node:stream';
import pretty from 'pino-pretty';

interface Line {
  readonly level: number;
  readonly msg?: string;
  readonly context?: string;
  readonly req?: { readonly method: string; readonly path: string };
  readonly res?: { readonly status: number };
  readonly responseTime?: number;
}

const WARN = 40;

/** What a person reads: the sentence alone; who says it where something is wrong; a request by its outcome. */
function sentence({ level, msg = '', context, req, res, responseTime }: Line): string {
  if (req && res) return `${req.method} ${req.path}: ${res.status} in ${responseTime} ms`;
  return level >= WARN && context ? `${context}: ${msg}` : msg;
}

/** Lines take the place of a bar, which draws itself anew below; and of the ^C that a terminal echoes. */
const CLEAR_LINE = '\r\u001b[K';

/** Lines of pino for a terminal. In this process and at once, so that they keep their order with everything else there. */
export const terminalLog = (terminal: NodeJS.WritableStream = process.stdout): NodeJS.WritableStream =>
  pretty({
    destination: new Writable({
      write: (text: Buffer, _encoding, done) => {
        terminal.write(CLEAR_LINE + text.toString());
        done();
      },
    }),
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname,context,req,res,responseTime',
    singleLine: true,
    messageFormat: (line) => sentence(line as unknown as Line),
  });
