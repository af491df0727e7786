const factors: Record<string, number> = {
  '': 1, n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
} // prettier-ignore

/** A Kubernetes quantity as a number (bytes, or CPU cores): https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
export function parseQuantity(quantity: string | number): number {
  if (typeof quantity === 'number') return quantity
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/.exec(quantity)
  const factor = factors[match?.[2] ?? '']
  if (match === null || factor === undefined) throw new Error(`not a Kubernetes quantity: ${quantity}`)
  return Number(match[1]) * factor
}
