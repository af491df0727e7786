/** One operation of a JSON patch (RFC 6902). */
export type Operation = { op: 'add' | 'replace'; path: string; value: unknown }

/**
 * The JSON text of a patch.
 *
 * @param written values, or members of lists, of which the text is known already
 */
export function patchText(operations: readonly Operation[], written: ReadonlyMap<unknown, string>): string {
  const parts: string[] = []
  let plain: Operation[] = []
  // One call for all that lies between: each has its price.
  const flush = () => {
    if (plain.length > 0) parts.push(JSON.stringify(plain).slice(1, -1))
    plain = []
  }
  for (const operation of operations) {
    const text = textOf(operation.value, written)
    if (text === undefined) {
      plain.push(operation)
      continue
    }
    flush()
    parts.push(`{"op":"${operation.op}","path":${JSON.stringify(operation.path)},"value":${text}}`)
  }
  flush()
  return `[${parts.join(',')}]`
}

/** Undefined where no part of the value is written yet. */
function textOf(value: unknown, written: ReadonlyMap<unknown, string>): string | undefined {
  if (Array.isArray(value) && value.some((member) => written.has(member)))
    return `[${value.map((member) => written.get(member) ?? JSON.stringify(member)).join(',')}]`
  return written.get(value)
}
