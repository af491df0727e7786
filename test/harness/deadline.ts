export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Asks until it gets something other than undefined. @throws Error that tells what was waited for, and `describe()`. */
export async function poll<T>(
  what: string,
  deadlineMs: number,
  ask: () => T | undefined | Promise<T | undefined>,
  describe: () => string = () => '',
): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}\n${describe()}`)
    await sleep(10)
  }
}

/** `promise`, or undefined once `ms` have passed. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
