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

  it('should look again for files that did not load, and know them until then: other engines draw with them', async () => {
    const model = finder();
    const doubted = await model.find(() => {});
    model.doubt(doubted);
    expect(model.files).toBe(doubted);
    resolve.mockResolvedValueOnce(files('second.safetensors'));
    expect(await model.find(() => {})).toEqual(files('second.safetensors'));
    // What is known to be new is in no doubt.
    model.doubt(doubted);
    expect(model.files).toEqual(files('second.safetensors'));
    await model.find(() => {});
    expect(resolve).toHaveBeenCalledTimes(2);
  });
});
