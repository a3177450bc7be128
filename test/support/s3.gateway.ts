import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { freePorts } from './ports';
import type { Server } from './requires';

/** A running S3 server with no bucket in it. */
export interface S3Gateway {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

const SCRIPT = join(__dirname, 's3.gateway.sh');
const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'setpriv'];

export function haveS3Gateway(): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return PROGRAMS.every((program) => folders.some((folder) => isExecutable(join(folder, program))));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** For describeWith. */
export const S3_GATEWAY: Server = {
  name: 'radosgw',
  install: 'apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common',
  available: haveS3Gateway,
};

/** Starts Ceph's S3 gateway on free ports; takes 1 to 4 seconds. Several may run side by side. */
export async function startS3Gateway(): Promise<S3Gateway> {
  const failures: unknown[] = [];
  // Between choosing a port and listening on it another process may take it.
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await startOnce();
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `The S3 gateway does not start: ${failures.map(String).join('\n')}`);
}

async function startOnce(): Promise<S3Gateway> {
  const [port, monitorPort] = await freePorts(2);
  const accessKeyId = randomBytes(10).toString('hex').toUpperCase();
  const secretAccessKey = randomBytes(20).toString('hex');
  // stdin stays open as long as this process lives; its end stops the servers.
  const script = spawn(SCRIPT, [String(port), String(monitorPort), accessKeyId, secretAccessKey], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exit = once(script, 'exit');
  const complaints = text(script.stderr);
  const ready = once(script.stdout, 'data').then(() => undefined);
  const failed = exit.then(async () => new Error((await complaints).trim() || 'it ended without a word'));
  const error = await Promise.race([ready, failed]);
  if (error) throw error;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId,
    secretAccessKey,
    stop: async () => {
      script.stdin.end();
      await exit;
    },
  };
}
