import type { OpenAPIObject } from '@nestjs/swagger';

type Node = Record<string, unknown>;

/** Values that are shown, not rules. */
const SHOWN = new Set(['example', 'examples', 'default']);

/** Nest writes schemas as OpenAPI 3.0 has them; in 3.1 they are JSON Schema. */
export function toOpenApi31(document: OpenAPIObject): void {
  convert(document);
}

function convert(part: unknown): void {
  if (Array.isArray(part)) return part.forEach(convert);
  if (typeof part !== 'object' || part === null) return;
  const node = part as Node;
  if ('nullable' in node) allowNull(node);
  tellWidth(node);
  if (isBinary(node.schema)) delete node.schema;
  for (const [name, child] of Object.entries(node)) if (!SHOWN.has(name)) convert(child);
}

/**
 * Every number says how wide it is: clients in other languages would guess, and a seed that was a float is another seed.
 * TypeScript knows numbers only: those that may have fractions say `double`.
 */
function tellWidth(node: Node): void {
  const types = [node.type].flat();
  if (types.includes('number') && node.format === undefined) {
    node.type = types.length === 1 ? 'integer' : types.map((type) => (type === 'number' ? 'integer' : type));
    node.format = 'int64';
  }
  if (types.includes('integer')) node.format ??= 'int64';
}

function allowNull(node: Node): void {
  const { nullable, allOf, type } = node;
  delete node.nullable;
  if (nullable !== true) return;
  if (Array.isArray(allOf)) {
    // Of one reference, beside which 3.0 lets nothing stand.
    delete node.allOf;
    delete node.type;
    node.anyOf = [...(allOf as unknown[]), { type: 'null' }];
    return;
  }
  if (Array.isArray(node.anyOf)) {
    delete node.type;
    node.anyOf = [...(node.anyOf as unknown[]), { type: 'null' }];
    return;
  }
  node.type = [type, 'null'];
  if (Array.isArray(node.enum)) node.enum = [...(node.enum as unknown[]), null];
}

/** The media type says all there is to say of bytes. */
const isBinary = (schema: unknown) => (schema as Node | undefined)?.format === 'binary';
