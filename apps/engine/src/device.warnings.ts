import type { Device } from '#native';
import { type Found, isTooOld, kindOf, problems } from './device.choice';

/** What of the machine lies idle because no device was named; undefined: nothing does. */
export function unusedDevices(found: Found, chosen: Device, wanted: string | undefined): string | undefined {
  if (wanted !== undefined) return undefined;
  if (!chosen.gpu) {
    const why = problems(found);
    return why
      ? `no GPU is used, pictures are drawn on the processor${why.replace(';', ':')}. ENGINE_DEVICES=CPU if that is meant`
      : undefined;
  }
  // Another back end may have the same cards by other names.
  const usable = found.devices.filter(
    (device) => kindOf(device.name) === kindOf(chosen.name) && !isTooOld(device, found),
  );
  const idle = usable.filter(({ name }) => name !== chosen.name);
  if (idle.length === 0) return undefined;
  const told = idle.map(({ name, description }) => `${name} (${description})`).join(', ');
  const all = usable.map(({ name }) => name).join(',');
  return `${chosen.name} draws and ${told} does not: ENGINE_DEVICES=${all} keeps an engine on each`;
}

/** @param sharers engine processes without a device of their own */
export const sharedGpu = ({ name, gpu }: Device, sharers: number): string | undefined =>
  gpu && sharers > 1
    ? `ENGINE_PROCESSES=${sharers} keeps ${sharers} engines on ${name}, and none knows what memory the others take: name GPUs in ENGINE_DEVICES, one twice for two engines on it`
    : undefined;
