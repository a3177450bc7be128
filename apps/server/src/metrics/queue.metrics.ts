import { Gauge, type Registry } from 'prom-client';
import { CALLER_CLASSES, type Jobs } from '@app/jobs';
import { sharedReading } from './shared.reading';

/** What waits, by the class of who asked for it: keys and addresses are too many, and some of them secret. */
export function gaugeQueue(jobs: Jobs, registry: Registry): void {
  const registers = [registry];
  const read = sharedReading(() => jobs.backlog().catch(() => undefined));
  new Gauge({
    name: 'image_queue_jobs',
    help: 'Jobs that wait, of callers with a "key" and of those known by their "address" alone; of all processes that share the records; absent while those cannot be read',
    labelNames: ['caller'],
    registers,
    async collect() {
      this.reset();
      const backlog = await read();
      for (const caller of CALLER_CLASSES) if (backlog) this.set({ caller }, backlog[caller].queued);
    },
  });
  new Gauge({
    name: 'image_queue_oldest_age_seconds',
    help: 'Since the acceptance of the oldest job that waits; 0 while none does',
    labelNames: ['caller'],
    registers,
    async collect() {
      this.reset();
      const backlog = await read();
      const now = Date.now();
      for (const caller of CALLER_CLASSES) {
        if (!backlog) continue;
        const { oldestAt = now } = backlog[caller];
        // Another machine's clock may be ahead.
        this.set({ caller }, Math.max(0, now - oldestAt) / 1000);
      }
    },
  });
}
