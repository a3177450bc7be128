import { channel } from 'node:diagnostics_channel';

/** What was asked in vain of a server or a disk. `what`: one of a few words, never a message. */
export interface Failure {
  readonly of: 'storage' | 'hub';
  readonly what: string;
}
type Listener = (failure: unknown) => void;

const failures = channel('sdxl-image-service.failures');

/** For whoever counts them: drivers know nobody who does. */
export const tellFailure = (failure: Failure): void => failures.publish(failure);

/** Resolves to what ends it. */
export function hearFailures(listener: (failure: Failure) => void): () => void {
  failures.subscribe(listener as Listener);
  return () => void failures.unsubscribe(listener as Listener);
}
