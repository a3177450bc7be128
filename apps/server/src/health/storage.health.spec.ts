import { HealthIndicatorService } from '@nestjs/terminus';
import { loadConfig } from '@app/config';
import { FleetCapabilities } from '@app/jobs';
import { MemoryStorage } from '../../../../test/support/memory.storage';
import type { RecordsHealth } from './records.health';
import { ServingReadiness } from './serving.readiness';
import { StorageHealth } from './storage.health';

const AWAY = 'The S3 storage cannot be reached (NoSuchBucket, 404): check S3_BUCKET_NAME.';

describe(StorageHealth.name, () => {
  const storage = new MemoryStorage();
  const looks = jest.spyOn(storage, 'check');
  let health: StorageHealth;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick'] });
    looks.mockReset().mockResolvedValue();
    health = new StorageHealth(loadConfig({}), new HealthIndicatorService(), storage);
  });
  afterEach(() => jest.useRealTimers());

  it('should look once for all who ask within seconds', async () => {
    for (const answer of await Promise.all([health.failure(), health.failure(), health.failure()])) {
      expect(answer).toBeUndefined();
    }
    looks.mockRejectedValue(new Error(AWAY));
    jest.advanceTimersByTime(4_999);
    expect(await health.failure()).toBeUndefined();
    expect(looks).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(1);
    expect(await health.failure()).toBe(AWAY);
    jest.advanceTimersByTime(5_000);
    looks.mockResolvedValue();
    expect(await health.failure()).toBeUndefined();
  });

  it('should not keep a probe waiting: what was true before counts, and nothing is not well', async () => {
    let answer!: () => void;
    looks.mockReturnValue(new Promise((resolve) => (answer = resolve)));
    const first = health.failure();
    await jest.advanceTimersByTimeAsync(800);
    expect(await first).toBe('The storage has not answered yet');
    answer();
    expect(await health.failure()).toBeUndefined();
    looks.mockReturnValue(new Promise(() => {}));
    jest.advanceTimersByTime(5_000);
    const second = health.failure();
    await jest.advanceTimersByTimeAsync(800);
    expect(await second).toBeUndefined();
    expect(looks).toHaveBeenCalledTimes(2);
  });

  it('should be data of an API, which serves on', async () => {
    looks.mockRejectedValue(new Error(AWAY));
    const records = { check: () => Promise.resolve({}), reason: () => Promise.resolve(undefined) };
    const indicator = new HealthIndicatorService();
    const fleet = { workers: [{ model: 'demo', engines: 1 }] } as unknown as FleetCapabilities;
    const api = new ServingReadiness(indicator, records as unknown as RecordsHealth, fleet, health);
    expect(await api.look()).toMatchObject({ storage: { status: 'down', reason: AWAY } });
    expect(await api.reason()).toBeUndefined();
    expect(api.always).toBe(true);
  });
});
