/** What the resizer makes of an API server that fails for a moment, or for good. */
import { ApiException } from '@kubernetes/client-node'
import t from 'tap'
import type { Kube } from '../../agent/kube.ts'
import { readPod } from '../../agent/pod-view.ts'
import { grow, type ResizeOutcome } from '../../agent/resizer.ts'
import { podObject } from '../kube/stage.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { podPlan } from '../sidecar/stand-ins.ts'

const gibibyte = 2 ** 30
const [container] = podPlan.containers
const plan = { ...podPlan, containers: [{ ...container, memory: { ...container?.memory, answer: 'grow', maxBytes: 4 * gibibyte } }] } // prettier-ignore
const status = { containerStatuses: [{ name: 'app', resources: { limits: { memory: String(2 * gibibyte) } } }] } // prettier-ignore
const object = podObject({ uid: '00000000-0000-4000-8000-000000000001', name: 'p', plan, status })
const wish = { container: 'app', limitBytes: 2 * gibibyte, deadlineMs: 10_000 }
const failed = (code: number) => new ApiException(code, 'it failed', { message: `says ${code}` }, {})

async function growAgainst(failures: readonly Error[]) {
  const left = [...failures]
  let patches = 0
  const counted: ResizeOutcome[] = []
  const resizePod: Kube['resizePod'] = async () => {
    patches++
    const failure = left.shift()
    if (failure !== undefined) throw failure
    return object
  }
  const kube = { resizePod } as unknown as Kube
  const parts = { kube, pod: () => readPod(object), counted: (one: ResizeOutcome) => counted.push(one), log: quietLog } // prettier-ignore
  const became = await grow(parts, wish).then(
    (answer) => answer.became,
    (error: unknown) => (error as Error).message,
  )
  return { became, patches, counted }
}

t.test('a failure that may pass is tried again, and no more than a few times', async (t) => {
  for (const failure of [failed(409), failed(429), failed(503), new TypeError('fetch failed')]) {
    t.strictSame(await growAgainst([failure, failure]), { became: 'in-force', patches: 3, counted: ['in-force'] }) // prettier-ignore
  }
  const always = await growAgainst(Array.from({ length: 20 }, () => failed(503)))
  t.match(always, { became: /says 503/, patches: 4, counted: ['refused'] })
})

t.test('a refusal is told at once', async (t) => {
  for (const code of [403, 404, 422])
    t.match(await growAgainst([failed(code)]), { became: new RegExp(`says ${code}`), patches: 1 })
})

t.test('what never fits is taken back, but not what somebody else has asked for since', async (t) => {
  for (const [limit, patches] of [
    ['3Gi', 2],
    ['5Gi', 1],
  ] as const) {
    const conditions = [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible', message: 'no room' }] // prettier-ignore
    const now = podObject({ uid: '00000000-0000-4000-8000-000000000001', name: 'p', plan, memory: { limit, request: limit }, status: { ...status, conditions } }) // prettier-ignore
    let sent = 0
    const kube = { resizePod: async () => (sent++, object) } as unknown as Kube
    const pod = () => readPod(sent === 0 ? object : now)
    await t.rejects(
      grow({ kube, pod, counted: () => undefined, log: quietLog }, { ...wish, limitBytes: 3 * gibibyte }),
      /Infeasible/,
    )
    t.equal(sent, patches, limit)
  }
})
