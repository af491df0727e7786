/** Environment variables for one test, without those of this machine that a credential could come from. */
export function surroundings(
  t: { teardown: (work: () => void) => void },
  variables: Record<string, string>,
): void {
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name]
  // No file of a person who tests this.
  Object.assign(process.env, { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' })
  Object.assign(process.env, variables)
  t.teardown(() => {
    process.env = before
  })
}
