/** A place for objects: a directory, a bucket. Keys are relative, `a/b/c`, of [A-Za-z0-9._-] segments. */
export interface Objects {
  /** Whole or not at all. @throws ReprieveError `object-exists` with ifAbsent, if the key has an object already */
  put(
    key: string,
    body: readonly Uint8Array[],
    options: { signal: AbortSignal; ifAbsent?: boolean },
  ): Promise<void>
  /** @param range first byte and length @throws ReprieveError `object-missing` */
  get(
    key: string,
    options: { signal: AbortSignal; range?: { start: number; length: number } },
  ): Promise<Buffer>
  list(
    prefix: string,
    options: { signal: AbortSignal },
  ): AsyncIterable<{ key: string; bytes: number; modifiedMs: number }>
  /** An absent object is no error. */
  remove(keys: readonly string[], options: { signal: AbortSignal }): Promise<void>
}
