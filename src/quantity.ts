/**
 * Kubernetes quantities (`1.5Gi`, `100m`, `2e3`), by the grammar of apimachinery's resource.Quantity.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
const grammar = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,2})?$/

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}
const binaryExponents: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 }

/** A longer text is no quantity anyone means, only a way to make us compute. */
const maxLength = 64
const nanosPerUnit = 1_000_000_000n

/**
 * The value in billionths, the finest that Kubernetes keeps; finer ones are rounded away from zero as it does.
 * Undefined if the text is no quantity.
 */
export function parseQuantityNanos(text: string): bigint | undefined {
  const match = text.length <= maxLength ? grammar.exec(text) : null
  if (match === null) return undefined
  const [, sign, whole = '', fraction = '', bareFraction = '', suffix = ''] = match
  const decimals = fraction + bareFraction
  const { numerator, exponent } = scaleOf(suffix)
  const shift = exponent - decimals.length
  const digits = BigInt(whole + decimals) * numerator * nanosPerUnit
  const size = shift >= 0 ? digits * 10n ** BigInt(shift) : divideUp(digits, 10n ** BigInt(-shift))
  return sign === '-' ? -size : size
}

/** Whole bytes, rounded up. Undefined if the text is no quantity, negative, or beyond 2^53. */
export function parseQuantityBytes(text: string): number | undefined {
  const nanos = parseQuantityNanos(text)
  if (nanos === undefined || nanos < 0n) return undefined
  const bytes = divideUp(nanos, nanosPerUnit)
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : undefined
}

function scaleOf(suffix: string): { numerator: bigint; exponent: number } {
  const binary = binaryExponents[suffix]
  if (binary !== undefined) return { numerator: 1n << BigInt(binary), exponent: 0 }
  const decimal = decimalExponents[suffix]
  if (decimal !== undefined) return { numerator: 1n, exponent: decimal }
  return { numerator: 1n, exponent: suffix === '' ? 0 : Number(suffix.slice(1)) }
}

function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor
}
