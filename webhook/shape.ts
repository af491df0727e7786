/** Checks of the shape of parsed JSON, combined: what an API server sent is looked at before it is trusted. */
export type Check = (value: unknown) => boolean

export const isText: Check = (value) => typeof value === 'string'
export const isFlag: Check = (value) => typeof value === 'boolean'
export const isWhole: Check = (value) => Number.isSafeInteger(value)

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Absent and null mean the same in Kubernetes' JSON. */
export function optional(check: Check): Check {
  return (value) => value === undefined || value === null || check(value)
}

export function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check)
}

export function mapOf(check: Check): Check {
  return (value) => isRecord(value) && Object.values(value).every(check)
}

/** Fields not named are not looked at: a newer API server may send more. */
export function recordOf(fields: Record<string, Check>): Check {
  // Once, and not for every value: this is on the way of every pod.
  const checks = Object.entries(fields)
  return (value) =>
    isRecord(value) &&
    checks.every(([name, check]) => check(Object.hasOwn(value, name) ? value[name] : undefined))
}
