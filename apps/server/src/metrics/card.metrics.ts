import { Gauge, type Registry } from 'prom-client';
import { type Card, NvidiaSmi } from './nvidia.smi';
import { sharedReading } from './shared.reading';

const MIB = 1024 * 1024;

/** NVIDIA's cards of the machine, whoever uses them; absent where nvidia-smi is not there or does not answer in a second. */
export function gaugeCards(registry: Registry, smi = new NvidiaSmi()): void {
  const read = sharedReading(() => smi.cards());
  const gauge = (name: string, help: string, valueOf: (card: Card) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['gpu', 'uuid'],
      registers: [registry],
      async collect() {
        this.reset();
        for (const card of await read()) {
          const value = valueOf(card);
          if (!Number.isNaN(value)) this.set({ gpu: card.gpu, uuid: card.uuid }, value);
        }
      },
    });
  gauge(
    'image_gpu_memory_used_bytes',
    'Memory of a card of this machine that is in use, by whatever program; this and the others by nvidia-smi, absent without it',
    ({ memoryUsed }) => memoryUsed * MIB,
  );
  gauge(
    'image_gpu_memory_size_bytes',
    'Memory of a card of this machine',
    ({ memoryTotal }) => memoryTotal * MIB,
  );
  gauge(
    'image_gpu_utilization_ratio',
    'Part of the time, of about the last second, in which anything ran on the card',
    ({ utilization }) => utilization / 100,
  );
  gauge('image_gpu_temperature_celsius', 'Temperature of the card', ({ temperature }) => temperature);
}
