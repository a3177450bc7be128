import type { Config } from '@app/config';
import type { TerminalProgress } from '@app/models';
import { CardShare } from './card.share';
import type { LoadCommand } from './engine.protocol';
import { visibleDevices } from './visible.devices';

/** What makes one engine different from the next. */
export interface EngineSetup {
  readonly id: number;
  /** As in ENGINE_DEVICES; undefined: the first GPU, else the processor. */
  readonly device?: string;
  /** Added to the environment of its processes. */
  readonly variables: Readonly<Record<string, string>>;
  readonly sharers: LoadCommand['sharers'];
  /** Of its device, where that has other engines, too. */
  readonly share?: CardShare;
  /** The file that its processes run. */
  readonly main: string;
  /** Shows how far loading is. */
  readonly terminal?: TerminalProgress;
}

/** One engine a device; without ENGINE_DEVICES as many as ENGINE_PROCESSES, which share the processors. */
export function engineSetups({ ENGINE_DEVICES, ENGINE_PROCESSES }: Config): Omit<EngineSetup, 'main'>[] {
  if (ENGINE_DEVICES.length === 0) {
    const each = { sharers: ENGINE_PROCESSES, variables: {} };
    return Array.from({ length: ENGINE_PROCESSES }, (_, id) => ({ id, ...each }));
  }
  const shares = CardShare.among(ENGINE_DEVICES);
  return ENGINE_DEVICES.map((device, id) => {
    const variables = visibleDevices(device);
    return { id, device, sharers: 1, share: shares.get(device), variables };
  });
}
