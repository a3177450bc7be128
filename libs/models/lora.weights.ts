import type { TensorInfo } from './safetensors';

/** How to look at the numbers of a dtype that the engine reads. Of integers every bit pattern is a number. */
interface Format {
  readonly bytes: number;
  /** Marks what is no finite number: all bits of the exponent, or in E4M3 of the number, are set. */
  readonly special?: number;
  /** Of words of 32 bits the second half of a number, where its sign and exponent are. */
  readonly high?: true;
}

const FORMATS: Readonly<Record<string, Format>> = {
  F64: { bytes: 8, special: 0x7ff00000, high: true },
  F32: { bytes: 4, special: 0x7f800000 },
  F16: { bytes: 2, special: 0x7c00 },
  BF16: { bytes: 2, special: 0x7f80 },
  F8_E5M2: { bytes: 1, special: 0x7c },
  F8_E4M3: { bytes: 1, special: 0x7f },
  I64: { bytes: 8 },
  I32: { bytes: 4 },
  I8: { bytes: 1 },
};

/** The matrices whose product a module of a LoRA adds, and the factors of it: one that is zero leaves nothing. */
const FACTOR =
  /[._](lora[._](down|up|mid|a|b)\b|lora_linear_layer\b|lora_embedding_[ab]\b|alpha$|hada_[wt]\d|lokr_[wt]\d|dora_scale|lora_magnitude)/i;

/** One of another dtype makes the engine ignore the file; a matrix of integers ends its process. */
const isRead = (name: string, dtype: string) =>
  dtype in FORMATS && (FORMATS[dtype].special !== undefined || !FACTOR.test(name) || /alpha$/.test(name));

interface Seen {
  readonly name: string;
  readonly format: Format;
  readonly from: number;
  readonly to: number;
  /** Where the first number is that was not looked at. */
  next: number;
  finite: boolean;
  zero: boolean;
}

/**
 * Looks at the weights of a LoRA's file while its bytes pass by. The engine reports those as applied, too, that make every
 * pixel alike or change none.
 */
export class LoraWeights {
  private readonly tensors: readonly Seen[];
  /** Bytes of the window: the end of what passed, in which a number may have begun, and the newest chunk. */
  private window: Buffer = Buffer.alloc(0);
  private position = 0;
  private readonly unread: string | undefined;

  constructor(tensors: ReadonlyMap<string, TensorInfo>, dataStart: number) {
    this.unread = [...tensors].find(([name, { dtype }]) => !isRead(name, dtype))?.[1].dtype;
    this.tensors = [...tensors].flatMap(
      ([
        name,
        {
          dtype,
          data_offsets: [begin, end],
        },
      ]) => {
        const format = FORMATS[dtype];
        const from = dataStart + begin;
        const state = { next: from, finite: true, zero: true };
        return format ? [{ name, format, from, to: dataStart + end, ...state }] : [];
      },
    );
  }

  pass(chunk: Buffer): void {
    const kept = this.window.subarray(-8);
    this.position += this.window.length - kept.length;
    this.window = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const end = this.position + this.window.length;
    for (const tensor of this.tensors) {
      const { next, format } = tensor;
      const count = Math.floor((Math.min(end, tensor.to) - next) / format.bytes);
      if (next < this.position || count <= 0) continue;
      tensor.next += count * format.bytes;
      const start = next - this.position;
      look(tensor, this.window.subarray(start, start + count * format.bytes));
    }
  }

  /** What is wrong with them, once all have passed: the end of a sentence about the file. */
  get problem(): string | undefined {
    if (this.unread) return `has weights in a format that the engine does not compute with (${this.unread})`;
    const broken = this.tensors.find(({ finite }) => !finite);
    if (broken) return `has weights that are no finite numbers (NaN), in ${broken.name}`;
    return this.changesNothing ? 'changes nothing: its weights are zero' : undefined;
  }

  private get changesNothing(): boolean {
    const alive = new Map<string, boolean>();
    for (const { name, zero } of this.tensors) {
      const at = name.search(FACTOR);
      const module = at < 0 ? name : name.slice(0, at);
      alive.set(module, (alive.get(module) ?? true) && !zero);
    }
    return alive.size > 0 && ![...alive.values()].includes(true);
  }
}

function look(tensor: Seen, bytes: Buffer): void {
  const { format, finite, zero } = tensor;
  if (zero) tensor.zero = isZero(bytes, format);
  const { special } = format;
  if (finite && special !== undefined)
    tensor.finite = !holds(words(bytes, format), special, format.high ? 2 : 1);
}

function holds(numbers: ArrayLike<number>, special: number, step: number): boolean {
  for (let i = step - 1; i < numbers.length; i += step) if ((numbers[i] & special) === special) return true;
  return false;
}

/** A zero may have a sign. */
function isZero(bytes: Buffer, format: Format): boolean {
  if (format.special === undefined) return bytes.every((byte) => byte === 0);
  for (let i = 0; i < bytes.length; i++) {
    const sign = (i + 1) % format.bytes === 0 ? 0x80 : 0;
    if ((bytes[i] | sign) !== sign) return false;
  }
  return true;
}

/** A copy: typed arrays begin at multiples of their numbers' size, tensors anywhere. */
function words(bytes: Buffer, { bytes: size }: Format): Uint8Array | Uint16Array | Uint32Array {
  if (size === 1) return bytes;
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return size === 2 ? new Uint16Array(copy) : new Uint32Array(copy);
}
