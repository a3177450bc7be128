/** The same work by PyTorch, where it is at hand: how far the engine is from what the card can do. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** @typedef {{ seconds: number, steps: number, stepsPerSecond: number, vramMib: number, about: string }} Peer */

/** @param {import('./measure.mjs').Run} run @param {number} limit seconds */
export async function comparePeer({ device, card, report, options }, limit) {
  const row = { device: device.name, group: 'peer', seconds: 0 };
  if (!device.name.startsWith('CUDA'))
    return report.row({ ...row, what: 'PyTorch', note: 'left out: for CUDA devices only' });
  const visible = card ? { CUDA_VISIBLE_DEVICES: card.id } : {};
  const { channels, size, steps, python } = options;
  const size_ = { '--channels': channels, '--size': size, '--steps': steps };
  const args = [join(import.meta.dirname, 'peer.py'), ...Object.entries(size_).flat().map(String)];
  const env = { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', ...process.env, ...visible };
  const tell = (/** @type {string} */ lines) => {
    for (const line of lines.trim().split('\n').filter(Boolean)) {
      const { about, ...figures } = /** @type {Peer} */ (JSON.parse(line));
      report.row({ ...row, what: about, ...figures });
    }
  };
  try {
    tell((await promisify(execFile)(python, args, { env, timeout: limit * 1000 })).stdout);
  } catch (error) {
    const { message, stderr, stdout, killed } =
      /** @type {Error & { stderr?: string, stdout?: string, killed?: boolean }} */ (error);
    tell(stdout ?? '');
    const late = `not in ${limit.toFixed(0)} s (--limit): compiling alone takes a minute and more`;
    const reason = killed ? late : (stderr || message).trim().split('\n').at(-1);
    report.row({ ...row, what: 'PyTorch', note: `left out: ${reason}` });
  }
}
