/** An image of files as CRIU writes it: two magic numbers, then each entry after its length. */
export function imageOf(...entries: Buffer[]): Buffer {
  return entriesImage(0x56303138, entries)
}

/** An image of other entries, by its second magic number. */
export function entriesImage(kind: number, entries: readonly Buffer[]): Buffer {
  const magic = Buffer.alloc(8)
  magic.writeUInt32LE(0x54564319, 0)
  magic.writeUInt32LE(kind, 4)
  const parts = entries.flatMap((entry) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(entry.length)
    return [length, entry]
  })
  return Buffer.concat([magic, ...parts])
}

/** An image of one message, after its magic numbers. */
export function messageImage(magic: readonly number[], message: Buffer): Buffer {
  const words = [...magic, message.length].map((word) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(word)
    return bytes
  })
  return Buffer.concat([...words, message])
}
