import { controlOf } from './control.option';

describe(controlOf.name, () => {
  const option = { image: 'https://example.com/x.png' };

  it('should wait for a worker, where none has said yet what it has', () => {
    expect(() => controlOf(option, { controlNets: [], models: [] })).toThrow(
      expect.objectContaining({ code: 'engine_not_ready', retryAfter: 10 }) as Error,
    );
    expect(() => controlOf(option, { controlNets: [], models: ['demo'] })).toThrow(
      expect.objectContaining({ code: 'control_net_not_found' }) as Error,
    );
  });

  it('should take the only one, and nothing that was not asked for', () => {
    expect(controlOf(option, { controlNets: ['canny'], models: ['demo'] })).toEqual({
      ...{ name: 'canny', strength: 1 },
    });
    expect(controlOf({ ...option, strength: 0 }, { controlNets: ['canny'], models: ['demo'] })).toMatchObject(
      {
        strength: 0,
      },
    );
  });
});
