import type { TerminalProgress } from '@app/models';
import type { CardShare } from './card.share';
import type { LoadCommand } from './engine.protocol';

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
