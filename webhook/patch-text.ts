import type { Operation } from './mutate.ts'

/**
 * The JSON text of a patch.
 *
 * @param written values, or members of lists, of which the text is known already
 */
export function patchText(operations: readonly Operation[], written: ReadonlyMap<unknown, string>): string {
  return `[${operations
    .map(
      ({ op, path, value }) =>
        `{"op":"${op}","path":${JSON.stringify(path)},"value":${textOf(value, written)}}`,
    )
    .join(',')}]`
}

function textOf(value: unknown, written: ReadonlyMap<unknown, string>): string {
  const isPartlyWritten = Array.isArray(value) && value.some((member) => written.has(member))
  if (isPartlyWritten) return `[${value.map((member) => textOf(member, written)).join(',')}]`
  return written.get(value) ?? JSON.stringify(value)
}
