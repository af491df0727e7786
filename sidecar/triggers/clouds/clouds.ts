/** The clouds that may be the machine's, as the administrator says it. */
import type { CloudPlan } from '../../../src/pod-plan.ts'
import { Aws } from './aws.ts'
import { Azure } from './azure.ts'
import type { Cloud } from './cloud.ts'
import { Gcp } from './gcp.ts'

export function cloudsOf({ name, endpoint }: CloudPlan): Cloud[] {
  const all = [new Aws(endpoint), new Gcp(endpoint), new Azure(endpoint)]
  if (name === 'auto') return all
  return all.filter((cloud) => cloud.name === name)
}
