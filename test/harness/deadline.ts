export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * By how much longer tests wait for what they expect than on the machine itself. The virtual machine's guest sets it: an emulated
 * processor is slow. What a pod is promised (grace periods, probes, the sidecar's deadlines) is not stretched.
 */
export const slowness = Number(process.env.REPRIEVE_SLOWNESS || 1)

/** Asks until it gets something other than undefined. @throws Error that tells what was waited for, and `describe()`. */
export async function poll<T>(
  what: string,
  deadlineMs: number,
  ask: () => T | undefined | Promise<T | undefined>,
  describe: () => string = () => '',
): Promise<T> {
  const end = performance.now() + deadlineMs * slowness
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > end)
      throw new Error(`waited ${deadlineMs * slowness} ms in vain for ${what}\n${describe()}`)
    await sleep(10 * slowness)
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
