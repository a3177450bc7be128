import { EngineFailure } from './engine.errors';
import { EngineLease, type Lender } from './engine.lease';
import type { EngineProcess } from './engine.process';
import type { GenerateRequest } from './pipeline.types';

describe(EngineLease.name, () => {
  const refusal = (loras: readonly string[]) => {
    const flat = new EngineFailure('flat_picture', 'The picture is flat: every pixel has the same colour');
    const engine = { generate: () => Promise.reject(flat) } as unknown as EngineProcess;
    const memory = { watch: () => () => false, decodesInTiles: () => false };
    const lender = { memory, stopping: new AbortController().signal, hasMerged: () => true, free: () => {} };
    const request = { loras: loras.map((name) => ({ name, path: name })) } as unknown as GenerateRequest;
    return new EngineLease(0, engine, lender as unknown as Lender)
      .generate(request)
      .catch((error: Error) => error);
  };

  it('should name the LoRAs that a flat picture was drawn with', async () => {
    const flat = 'The picture is flat: every pixel has the same colour.';
    expect(await refusal([])).toMatchObject({ code: 'generation_failed', message: flat });
    expect(await refusal(['one', 'two'])).toMatchObject({
      code: 'generation_failed',
      message: `${flat} That may come of a LoRA: "one", "two".`,
    });
  });
});
