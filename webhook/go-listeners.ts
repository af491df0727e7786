/**
 * Go listens by MPTCP since 1.24 where the kernel has it, and CRIU cannot dump such a socket (criu#2655). GODEBUG turns that off
 * (https://go.dev/doc/godebug); a program that is not Go's does not read it.
 */
import { at, listAt } from './json-path.ts'
import type { Operation } from './patch-text.ts'
import type { Container } from './pod.ts'
import { isRecord } from './shape.ts'

const variable = 'GODEBUG'
const setting = 'multipathtcp'
const off = `${setting}=0`

/**
 * What the container says of MPTCP itself stays as it is, and so does a value that comes from elsewhere (`valueFrom`), which nothing can be
 * added to. A value that only `envFrom` or the image gives cannot be seen here, and is replaced.
 */
export function goListenerOperations(container: Container, path: string): Operation[] {
  const env = at(container, 'env')
  if (env === undefined || env === null)
    return [{ op: 'add', path: `${path}/env`, value: [{ name: variable, value: off }] }]
  const list = listAt(env)
  // Of several of one name the last one counts.
  const index = list.findLastIndex((one) => at(one, 'name') === variable)
  if (index < 0)
    return Array.isArray(env)
      ? [{ op: 'add', path: `${path}/env/-`, value: { name: variable, value: off } }]
      : []
  const value = at(list[index], 'value') ?? ''
  if (typeof value !== 'string' || isRecord(at(list[index], 'valueFrom')) || saysMptcp(value)) return []
  const joined = value === '' ? off : `${value},${off}`
  return [{ op: 'add', path: `${path}/env/${index}/value`, value: joined }]
}

function saysMptcp(value: string): boolean {
  return value.split(',').some((one) => one.trim().startsWith(`${setting}=`))
}
