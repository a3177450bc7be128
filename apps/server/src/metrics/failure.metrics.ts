import { Counter, type Registry } from 'prom-client';
import { hearFailures } from '@app/errors';

/** Resolves to what ends the counting. */
export function countFailures(registry: Registry): () => void {
  const registers = [registry];
  const storage = new Counter({
    name: 'image_storage_errors_total',
    help: 'Calls of the storage that failed, by what they were to do; what was tried again counts each time',
    labelNames: ['operation'],
    registers,
  });
  const hub = new Counter({
    name: 'image_hub_errors_total',
    help: 'Requests to the model hub that failed: by the status that it answered, or "none"',
    labelNames: ['status'],
    registers,
  });
  // At 0, as a counter that appears with its first event has not increased for Prometheus. Others are rare.
  for (const operation of ['read', 'write', 'delete', 'list']) storage.inc({ operation }, 0);
  hub.inc({ status: 'none' }, 0);
  return hearFailures(({ of, what }) =>
    of === 'storage' ? storage.inc({ operation: what }) : hub.inc({ status: what }),
  );
}
