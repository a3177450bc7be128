import { Drain } from '@app/lifecycle';
import { Config } from '@app/config';
import { Logger } from '@nestjs/common';
import { PipelineStub } from '../../../test/support/pipeline.stub';
import { until } from '../../../test/support/eventually';

import { LocalCapabilities } from '../capabilities/capabilities';
import type { WorkerCapabilities } from '../capabilities/fleet.capabilities';
import type { RedisWorkerPresence } from '../redis/redis.worker.presence';
import { WorkerAnnouncer } from './announcer';

describe(WorkerAnnouncer.name, () => {
  const pipeline = new PipelineStub();
  let told: string[];

  beforeEach(() => {
    Logger.overrideLogger(false);
    told = [];
    const tell = (word: string) => () => Promise.resolve(void told.push(word));
    const presence = { announce: tell('here'), withdraw: tell('gone'), close: tell('closed') };
    pipeline.become('loading');
    const config = new Config();
    const announcer = new WorkerAnnouncer(
      presence as unknown as RedisWorkerPresence<WorkerCapabilities>,
      pipeline.as(),
      new LocalCapabilities(config, pipeline.as()),
      new Drain(config),
    );
    announcer.onApplicationBootstrap();
  });

  it('should be there from when it can draw until its engines have failed, and again', async () => {
    pipeline.become('failed');
    expect(told).toEqual([]);
    pipeline.become('ready');
    await until(() => told.length === 1);
    pipeline.become('busy');
    // Started again after a death: its LoRAs are still to be had.
    pipeline.become('starting');
    pipeline.become('ready');
    pipeline.become('failed');
    pipeline.become('loading');
    expect(told).toEqual(['here', 'gone']);
    pipeline.become('ready');
    await until(() => told.length === 3);
    expect(told).toEqual(['here', 'gone', 'here']);
  });
});
