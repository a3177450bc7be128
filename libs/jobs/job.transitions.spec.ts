import { record } from '../../test/support/jobs';
import type { JobState } from './job.record';
import * as to from './job.transitions';

const NOW = 1_000_000;
const result = { key: 'k' } as never;

describe('job transitions', () => {
  const allowed: [string, (job: ReturnType<typeof record>) => unknown, JobState[]][] = [
    ['start', to.start(NOW), ['queued']],
    ['succeed', to.succeed(result, 1, NOW), ['running']],
    ['fail', to.fail({ code: 'generation_failed', message: 'x' }, 1, NOW), ['running']],
    ['cancel', to.cancel('x', NOW), ['queued', 'running']],
    ['expire', to.expire(NOW), ['queued']],
    ['giveBack', to.giveBack(1, NOW), ['running']],
    ['crash', to.crash(1, NOW), ['running']],
  ];
  it.each(allowed)('should allow %s only from its states', (name, change, states) => {
    for (const state of ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'] as const) {
      const deadlineAt = name === 'expire' ? NOW : NOW + 1;
      const changed = change(record({ state, attempts: 1, deadlineAt }));
      expect({ state, changed: changed !== undefined }).toEqual({ state, changed: states.includes(state) });
    }
  });

  it('should start no job past its deadline, and expire none before', () => {
    expect(to.start(NOW)(record({ deadlineAt: NOW }))).toBeUndefined();
    expect(to.expire(NOW)(record({ deadlineAt: NOW + 1 }))).toBeUndefined();
    expect(to.expire(NOW)(record({ deadlineAt: NOW }))).toMatchObject({
      state: 'expired',
      finishedAt: NOW,
      error: { code: 'deadline_exceeded' },
    });
  });

  it('should not let an attempt that was overtaken end the job', () => {
    const second = record({ state: 'running', attempts: 2 });
    expect(to.succeed(result, 1, NOW)(second)).toBeUndefined();
    expect(to.fail({ code: 'generation_failed', message: 'x' }, 1, NOW)(second)).toBeUndefined();
    expect(to.giveBack(1, NOW)(second)).toBeUndefined();
    expect(to.succeed(result, 2, NOW)(second)).toMatchObject({ state: 'succeeded' });
  });

  it('should retry after the first crash and give up after the second', () => {
    const first = to.crash(1, NOW)(record({ state: 'running', attempts: 1, startedAt: 5 }))!;
    expect(first).toMatchObject({ state: 'queued', crashes: 1, startedAt: undefined });
    const second = to.crash(2, NOW)({ ...first, state: 'running', attempts: 2 });
    expect(second).toMatchObject({ state: 'failed', crashes: 2, error: { code: 'engine_crashed' } });
  });

  it('should not count a death of the service as a crash, but not go on for ever', () => {
    expect(to.giveBack(3, NOW)(record({ state: 'running', attempts: 3, crashes: 1 }))).toMatchObject({
      state: 'queued',
      crashes: 1,
    });
    const tried = record({ state: 'running', attempts: to.MAX_ATTEMPTS });
    expect(to.giveBack(to.MAX_ATTEMPTS, NOW)(tried)).toMatchObject({
      state: 'failed',
      error: { code: 'engine_crashed' },
    });
  });

  it('should keep idempotency keys of what would come out the same, and free all others', () => {
    const running = record({ state: 'running', attempts: 1, idempotency: { key: 'k', fingerprint: 'f' } });
    const failed = (code: 'generation_failed' | 'storage_unavailable') =>
      to.fail({ code, message: 'x' }, 1, NOW)(running)?.idempotency?.key;
    expect(to.succeed(result, 1, NOW)(running)?.idempotency?.key).toBe('k');
    expect(failed('generation_failed')).toBe('k');
    expect(failed('storage_unavailable')).toBeUndefined();
    expect(to.cancel('x', NOW)(running)?.idempotency).toBeUndefined();
    expect(to.expire(NOW)({ ...running, state: 'queued', deadlineAt: NOW })?.idempotency).toBeUndefined();
    expect(to.giveBack(1, NOW)(running)?.idempotency?.key).toBe('k');
  });

  it('should note webhook deliveries for the events that were asked for', () => {
    const webhook = { url: 'https://x', events: ['job.succeeded', 'job.failed'] as const, deliveries: [] };
    const running = to.start(NOW)(record({ webhook, deadlineAt: NOW + 9 }))!;
    expect(running.webhook?.deliveries).toEqual([]);
    expect(to.succeed(result, 1, NOW + 1)(running)?.webhook?.deliveries).toEqual([
      { event: 'job.succeeded', at: NOW + 1, attempts: 0, status: 'pending', nextAt: NOW + 1 },
    ]);
    const expired = to.expire(NOW + 9)(record({ webhook, deadlineAt: NOW + 9 }));
    expect(expired?.webhook?.deliveries).toMatchObject([{ event: 'job.failed' }]);
  });

  it('should keep fields that it does not know', () => {
    const future = { ...record({ deadlineAt: NOW + 1 }), colour: 'blue' };
    expect(to.start(NOW)(future)).toMatchObject({ colour: 'blue' });
  });
});
