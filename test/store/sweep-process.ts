/** A process that sweeps a store again and again until it is killed: `sweep-process.ts ROOT`. Says `ready` first. */
import { createDirectoryStore } from '../../src/store/directory.ts'
import { never } from './samples.ts'
import { week } from './aged.ts'

const store = createDirectoryStore({ name: 'swept', path: process.argv[2] ?? '' })
process.stdout.write('ready\n')
for (;;) await store.sweep({ retention: { ttlMs: week }, lock: async () => () => undefined }, never)
