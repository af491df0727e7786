/**
 * How many pods the properties are held to, and which: REPRIEVE_PROPERTY_RUNS says how many (make soak: 100000), REPRIEVE_PROPERTY_SEED where they
 * begin, so that many of them can be run in parts. Without a seed they are others each time.
 */
export const runs = Number(process.env.REPRIEVE_PROPERTY_RUNS ?? 1000)

const given = process.env.REPRIEVE_PROPERTY_SEED
export const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)

/** For fc.assert. */
export const asked = { numRuns: runs, seed }
