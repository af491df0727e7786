/** Milliseconds of a processor that this process has used: what a hostile input costs, however busy the machine is with others. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
