/**
 * What a process without a credential asks of one that has it: URLs that are signed for one object and one method, what is there, and
 * removals.
 */
import type { Objects } from './objects.ts'

export type Wanted = { method: 'GET'; key: string } | { method: 'PUT'; key: string; ifAbsent: boolean }

export type SignedUrl = {
  url: string
  /** To be sent as they are: they are signed as well. */
  headers: Readonly<Record<string, string>>
}

export interface Signer extends Pick<Objects, 'list' | 'remove'> {
  /** @param anew the last URL for this was refused: one that was made ahead may have expired, or its credential has changed */
  sign(wanted: Wanted, options: { signal: AbortSignal; anew: boolean }): Promise<SignedUrl>
}
