/**
 * What became of something: one of a closed set of kinds, named in `outcome`, with the data of that kind beside it. An operation that may end
 * in several ways resolves with one; it throws only where none of them applies.
 */
export type Outcome<Kinds extends Record<string, object>> = {
  [Kind in keyof Kinds]: { outcome: Kind } & Kinds[Kind]
}[keyof Kinds]

/** An outcome of the kinds that are named. */
export type OutcomeOf<Any extends { outcome: string }, Kind extends Any['outcome']> = Extract<
  Any,
  { outcome: Kind }
>
