import { LoraWeights } from './lora.weights';
import type { TensorInfo } from './safetensors';

/** Little-endian bytes of numbers that stand for one, minus zero, infinity and what is no number. */
const NUMBERS: [dtype: string, one: string, minusZero: string, ...special: string[]][] = [
  ['F64', '000000000000f03f', '0000000000000080', '000000000000f07f', '010000000000f0ff'],
  ['F32', '0000803f', '00000080', '0000807f', '0100c0ff'],
  ['F16', '003c', '0080', '007c', '01fe'],
  ['BF16', '803f', '0080', '807f', 'c1ff'],
  ['F8_E5M2', '3c', '80', '7c', 'ff'],
  ['F8_E4M3', '38', '80', '7f', 'ff'],
];

describe(LoraWeights.name, () => {
  const file = (tensors: Record<string, [dtype: string, hex: string]>, start = 13) => {
    const infos = new Map<string, TensorInfo>();
    let end = 0;
    for (const [name, [dtype, hex]] of Object.entries(tensors)) {
      infos.set(name, { dtype, shape: [], data_offsets: [end, (end += hex.length / 2)] });
    }
    const data = Object.values(tensors).map(([, hex]) => hex);
    return { infos, start, bytes: Buffer.from('7f'.repeat(start) + data.join(''), 'hex') };
  };
  const problem = (tensors: Record<string, [string, string]>, chunk = 1 << 20) => {
    const { infos, start, bytes } = file(tensors);
    const weights = new LoraWeights(infos, start);
    for (let at = 0; at < bytes.length; at += chunk) weights.pass(bytes.subarray(at, at + chunk));
    return weights.problem;
  };

  describe.each(NUMBERS)('with %s', (dtype, one, minusZero, ...special) => {
    const up = (...numbers: string[]) => ({
      'a.lora_down.weight': [dtype, one.repeat(5)] as [string, string],
      'a.lora_up.weight': [dtype, numbers.join('')] as [string, string],
    });
    const zero = '0'.repeat(one.length);

    // However the bytes are cut, and wherever the numbers begin.
    it.each([1, 3, 7, 8, 11, 1000])('should see each number in chunks of %i bytes', (chunk) => {
      expect(problem(up(one, zero, one), chunk)).toBeUndefined();
      expect(problem(up(zero, zero, one), chunk)).toBeUndefined();
      expect(problem(up(zero, minusZero, zero), chunk)).toBe('changes nothing: its weights are zero');
      for (const number of special)
        expect(problem(up(one, one, number), chunk)).toBe(
          'has weights that are no finite numbers (NaN), in a.lora_up.weight',
        );
    });
  });

  const [F32, ZERO, ONE] = ['F32', '00000000', '0000803f'];
  it.each<[string, Record<string, string>, boolean]>([
    [
      'a matrix that is zero in each module',
      { 'a.lora_A.weight': ONE, 'a.lora_B.weight': ZERO, 'b.lora_A.weight': ZERO, 'b.lora_B.weight': ONE },
      true,
    ],
    [
      'one module of two that is',
      { 'a.lora_A.weight': ONE, 'a.lora_B.weight': ZERO, 'b.lora_A.weight': ONE, 'b.lora_B.weight': ONE },
      false,
    ],
    [
      'an alpha of zero',
      { 'lora_unet_a.lora_down.weight': ONE, 'lora_unet_a.lora_up.weight': ONE, 'lora_unet_a.alpha': ZERO },
      true,
    ],
    ["diffusers' older names", { 'to_q_lora.down.weight': ONE, 'to_q_lora.up.weight': ZERO }, true],
    ['LoHa', { 'a.hada_w1_a': ONE, 'a.hada_w1_b': ONE, 'a.hada_w2_a': ZERO, 'a.hada_w2_b': ONE }, true],
    ['LoKr', { 'a.lokr_w1': ONE, 'a.lokr_w2_a': ONE, 'a.lokr_w2_b': ZERO }, true],
    [
      'a difference of its own',
      { 'a.lora_up.weight': ZERO, 'a.lora_down.weight': ONE, 'a.diff_b': ONE },
      false,
    ],
  ])('should know what leaves nothing: %s', (_, tensors, nothing) => {
    const all = Object.fromEntries(
      Object.entries(tensors).map(([name, hex]) => [name, [F32, hex] as [string, string]]),
    );
    expect(problem(all)).toBe(nothing ? 'changes nothing: its weights are zero' : undefined);
  });

  it.each(['I8', 'I32', 'I64', 'U8', 'F8_E4M3FNUZ', 'float8_e4m3fn', 'F4'])(
    'should refuse %s, which the engine ignores or dies of',
    (dtype) =>
      expect(problem({ 'a.lora_down.weight': [F32, ONE], 'a.lora_up.weight': [dtype, ONE + ONE] })).toBe(
        `has weights in a format that the engine does not compute with (${dtype})`,
      ),
  );

  it('should take an alpha that is a whole number', () => {
    const matrices = { 'a.lora_down.weight': [F32, ONE], 'a.lora_up.weight': [F32, ONE] } as const;
    const all = (alpha: string) => problem({ ...matrices, 'a.alpha': ['I64', alpha] } as never);
    expect(all('0100000000000000')).toBeUndefined();
    expect(all('0000000000000000')).toMatch(/zero/);
  });
});
