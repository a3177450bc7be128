import { chmod } from 'node:fs/promises';

const NOBODY = 65_534;

/** Runs as a user who may not enter `folder`. Root may enter every folder, so it becomes somebody else meanwhile. */
export async function asStranger<T>(folder: string, run: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid!() === 0;
  await chmod(folder, isRoot ? 0o700 : 0);
  if (isRoot) process.seteuid!(NOBODY);
  try {
    return await run();
  } finally {
    if (isRoot) process.seteuid!(0);
    await chmod(folder, 0o700);
  }
}
