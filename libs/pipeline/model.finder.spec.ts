import { Logger } from '@nestjs/common';
import type { ModelsService } from '@app/models';
import { ModelFinder } from './model.finder';

describe(ModelFinder.name, () => {
  const files = (checkpoint: string) => ({ name: 'demo', checkpoint });
  const resolve = jest.fn(() => Promise.resolve(files('first.safetensors')));
  const finder = () => new ModelFinder({ resolve } as unknown as ModelsService);

  beforeEach(() => {
    Logger.overrideLogger(false);
    resolve.mockClear();
  });

  it('should look once for all engines', async () => {
    const model = finder();
    const found = await Promise.all([model.find(() => {}), model.find(() => {})]);
    expect(await model.find(() => {})).toBe(found[0]);
    expect(resolve).toHaveBeenCalledTimes(1);
  });

  it('should look again for who doubts the files, and for nobody else: other engines draw with them', async () => {
    const model = finder();
    const first = await model.find(() => {});
    const second = files('second.safetensors');
    resolve.mockResolvedValueOnce(second);
    const again = model.find(() => {}, first);
    // Known all the while, such as the folder of the LoRAs.
    expect(model.files).toBe(first);
    expect(await model.find(() => {})).toBe(first);
    expect(await again).toBe(second);
    // What was found since is in no doubt.
    expect(await model.find(() => {}, first)).toBe(second);
    expect(resolve).toHaveBeenCalledTimes(2);
  });

  it('should keep what is known where a search in doubt finds nothing', async () => {
    const model = finder();
    const first = await model.find(() => {});
    resolve.mockRejectedValueOnce(new Error('the hub is away'));
    await expect(model.find(() => {}, first)).rejects.toThrow('the hub is away');
    expect(await model.find(() => {})).toBe(first);
  });
});
