import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { PipelineStub } from '../../../test/support/pipeline.stub';
import { loraLayer, writeSafetensors } from '../../../test/support/safetensors';
import { LocalCapabilities } from './capabilities';

describe(LocalCapabilities.name, () => {
  let pipeline: PipelineStub;
  const open = (config: Partial<Config> = {}) =>
    new LocalCapabilities(Object.assign(new Config(), config), pipeline.as());
  const refusal = (): ServiceError | undefined => {
    try {
      open().assertAccepting();
      return undefined;
    } catch (error) {
      return error as ServiceError;
    }
  };

  beforeEach(() => {
    pipeline = new PipelineStub();
  });

  it('should count an engine a device, else the processes', () => {
    expect(open().engines).toBe(1);
    expect(open({ ENGINE_PROCESSES: 3 }).engines).toBe(3);
    expect(open({ ENGINE_DEVICES: ['0', '2'], ENGINE_PROCESSES: 5 }).engines).toBe(2);
  });

  it('should name the model as the pipeline does', () => {
    expect(open().models).toEqual(['demo']);
  });

  it.each([true, false])('should offer reference pictures as the pipeline does: %s', (hasIpAdapter) => {
    pipeline.hasIpAdapter = hasIpAdapter;
    expect(open().hasIpAdapter).toBe(hasIpAdapter);
  });

  it.each(['ready', 'busy'] as const)('should take jobs while the engine is %s', (state) => {
    pipeline.state = { state, model: 'demo' };
    pipeline.everReady = false;
    expect(refusal()).toBeUndefined();
  });

  it('should take jobs while an engine that was ready once is started again', () => {
    pipeline.state = { state: 'loading', model: 'demo', percent: 10 };
    expect(refusal()).toBeUndefined();
  });

  it('should refuse jobs before the model was ever there, and tell how far it is', () => {
    pipeline.everReady = false;
    pipeline.state = { state: 'loading', model: 'demo', percent: 41.9 };
    expect(refusal()).toMatchObject({
      code: 'engine_not_ready',
      message: 'The model is not loaded yet: loading (41 %)',
    });
    pipeline.state = { state: 'starting', model: 'demo' };
    expect(refusal()?.message).toBe('The model is not loaded yet: starting');
  });

  it('should refuse jobs when the engine failed, even after it was ready, and say why and for how long', () => {
    pipeline.state = { state: 'failed', model: 'demo', reason: 'no GPU device' };
    expect(refusal()).toMatchObject({
      code: 'engine_not_ready',
      message: 'The engine is not running: no GPU device',
      retryAfter: 30,
    });
    pipeline.state = { state: 'stopped', model: 'demo' };
    expect(refusal()?.message).toBe('The engine is not running');
  });

  it('should offer the LoRAs of the folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'offers-'));
    await writeSafetensors(join(folder, 'grain.safetensors'), loraLayer('a', 2, 2));
    pipeline.loraDir = folder;
    expect(await open().loras()).toMatchObject([{ name: 'grain', tensors: 3 }]);
    expect((await open().lora('grain')).sha256).toMatch(/^[0-9a-f]{64}$/);
    await expect(open().lora('other')).rejects.toMatchObject({ code: 'lora_not_found' });
    await rm(folder, { recursive: true });
  });
});
