/** The limit that a container gets which has needed more before, and the request with it where they were one. Pure. */
import { parseQuantityBytes } from '../src/quantity.ts'
import type { PodPlan } from '../src/pod-plan.ts'
import type { Container, Pod } from './pod.ts'
import { requestRoomBytes } from './pod-level-memory.ts'

export type Raise = { index: number; limit: string; request: string | undefined }

/**
 * The limits and requests that are raised: never lowered, never above the plan's maximum. A request equal to its limit stays equal: the pod keeps
 * its QoS class, and its node has what it is promised. A pod with a request of its own has its class from that, and room for no more.
 * @param needs bytes by container
 */
export function raisesFor(pod: Pod, plan: PodPlan, needs: ReadonlyMap<string, number>): Raise[] {
  if (needs.size === 0) return []
  let room = requestRoomBytes(pod)
  return pod.spec.containers.flatMap((container, index): Raise[] => {
    const need = needs.get(container.name)
    const most = plan.containers.find(({ name }) => name === container.name)?.memory.maxBytes
    const limit = bytesOf(container, 'limits')
    if (need === undefined || most === undefined || limit === undefined) return []
    const bytes = Math.min(need, most)
    if (bytes <= limit) return []
    const request = bytesOf(container, 'requests')
    // A request that is left out becomes the limit (the API server's defaults, before admission): then it is there, and equal.
    const more = request === limit ? Math.min(bytes - limit, room) : 0
    room -= more
    return [{ index, limit: String(bytes), request: more > 0 ? String(limit + more) : undefined }]
  })
}

function bytesOf({ resources }: Container, list: 'limits' | 'requests'): number | undefined {
  const text = resources?.[list]?.memory
  return text === undefined || text === null ? undefined : parseQuantityBytes(String(text))
}
