/**
 * The process that looks for faces: one model, one picture at a time, beside the server, whose event loop it never holds
 * up and which outlives its end. It reads no variables, opens no connections and writes no files.
 */
import { constants, setPriority } from 'node:os';
import type { FaceCommand, FaceEvent } from '@app/faces';
import { openHuman, type Human } from './human';
import { look } from './look';

const say = (event: FaceEvent): void => void process.send?.(event);

async function answer({ id, ...picture }: FaceCommand): Promise<void> {
  const faces = await look(await human, picture);
  say({ type: 'found', id, faces, memory: process.memoryUsage.rss() });
}

process.on('disconnect', () => process.exit());
// What waits for a reply of the server comes first.
setPriority(constants.priority.PRIORITY_LOW);
const human: Promise<Human> = openHuman();
human.catch(() => {}); // told with each look
let last = Promise.resolve();
process.on('message', (command: FaceCommand) => {
  last = last
    .then(() => answer(command))
    .catch((error: Error) => say({ type: 'failed', id: command.id, message: error.message }));
});
