/** Which slots of a store are removed because nobody will come back for them. Pure. */

export type Retention = {
  /** After the last sign of life of the lineage's last pod. */
  ttlMs: number
  /** Of the checkpoints of a namespace. */
  namespaceBytes?: number
}

/** `idleMs`: since the last sign of life, by the clock of the store. `bytes`: of its checkpoints; 0 where nobody asked for them. */
export type SlotState = {
  namespace: string
  lineage: string
  container: string
  idleMs: number
  bytes: number
}

export type Doomed<State extends SlotState> = { slot: State; why: 'ttl' | 'bytes' }

/** A pod beats every ten seconds, and its replacement may be on its way for a while. */
export const livingMs = 15 * 60_000
/** A replacement may be Pending until tomorrow, for a machine or for quota, and gives no sign of that in the store. */
export const pendingMs = 86_400_000

/** A slot whose pod may live is never among them; one whose pod may be Pending makes no room. The longest idle go first. */
export function doomedSlots<State extends SlotState>(
  slots: readonly State[],
  { ttlMs, namespaceBytes }: Retention,
): Doomed<State>[] {
  const ended = slots.filter(({ idleMs }) => idleMs > livingMs).toSorted((one, other) => other.idleMs - one.idleMs) // prettier-ignore
  const doomed = ended.filter(({ idleMs }) => idleMs > ttlMs).map((slot): Doomed<State> => ({ slot, why: 'ttl' })) // prettier-ignore
  if (namespaceBytes === undefined) return doomed
  const left = new Map<string, number>()
  for (const { namespace, bytes } of slots) left.set(namespace, (left.get(namespace) ?? 0) + bytes)
  const gone = ({ namespace, bytes }: State) => left.set(namespace, (left.get(namespace) ?? 0) - bytes)
  for (const { slot } of doomed) gone(slot)
  for (const slot of ended) {
    if (slot.idleMs <= pendingMs) break
    if (slot.idleMs > ttlMs || slot.bytes === 0 || (left.get(slot.namespace) ?? 0) <= namespaceBytes) continue
    doomed.push({ slot, why: 'bytes' })
    gone(slot)
  }
  return doomed
}
