import t from 'tap'
import { disruptionsOf, toleratedSeconds } from '../../agent/disruptions.ts'
import { readNode, readPod, type Taint, type Toleration } from '../../agent/pod-view.ts'
import { parseDisruptions } from '../../src/agent/protocol.ts'
import { disruptionRules, explainDisruptions, noticeOf } from '../../sidecar/triggers/agent/disruptions.ts'
import type { Notice } from '../../sidecar/triggers/notices/notice.ts'
import { answerTo } from '../../sidecar/triggers/notices/answers.ts'
import { nodeObject, podObject } from '../kube/stage.ts'

const uid = '00000000-0000-4000-8000-000000000001'
type Options = Partial<Parameters<typeof podObject>[0]>

function told(pod: Options, spec: Record<string, unknown> = {}, conditions: object[] = []) {
  const view = readPod(podObject({ uid, ...pod }))
  if (view === undefined) throw new Error('no pod')
  const disruptions = disruptionsOf(view, readNode(nodeObject(spec, conditions)))
  t.same(parseDisruptions({ disruptions }), { known: disruptions, unknown: [] }, 'as the protocol has it')
  return disruptions
}

const condition = (reason: string, status = 'True') => ({
  status: { conditions: [{ type: 'DisruptionTarget', status, reason, message: 'because' }] },
})
const at = '2026-03-04T05:06:07Z'
const atMs = Date.parse(at)

t.test('a pod and a node of which nothing is announced', async (t) => t.same(told({}), []))

t.test('a deletion, with the end of its grace', async (t) => {
  t.match(told({ metadata: { deletionTimestamp: at } }), [
    { id: 'deleted', fact: 'deleted', deadlineMs: atMs },
  ])
})

t.test('DisruptionTarget with each of its reasons, and its withdrawal', async (t) => {
  const reasons = ['PreemptionByScheduler', 'DeletionByTaintManager', 'EvictionByEvictionAPI', 'DeletionByPodGC', 'DeletionByDeviceTaintManager'] // prettier-ignore
  for (const reason of reasons) {
    const [disruption, ...more] = told(condition(reason))
    t.match(disruption, { fact: 'disruption-target', name: reason, detail: 'because' })
    t.same(more, [])
    const notice = disruption && noticeOf(disruption)
    t.match(notice, { kind: 'pod-disrupted', certainty: 'likely' })
    t.equal(notice && answerTo(notice, atMs), 'checkpoint-and-resume')
    t.same(told(condition(reason, 'False')), [], 'withdrawn')
  }
  const [byKubelet] = told(condition('TerminationByKubelet'))
  t.equal(byKubelet && answerTo(noticeOf(byKubelet) as Notice, atMs), 'nothing', 'its preStop asks')
  const [unknown] = told(condition('SomethingNew'))
  t.match(unknown && noticeOf(unknown), { kind: 'pod-disrupted', certainty: 'possible' })
})

t.test('NoExecute taints that are tolerated not at all, for a time, or for ever', async (t) => {
  const taints = [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', timeAdded: at }]
  const tolerating = (tolerations: object[]) => told({ spec: { tolerations } }, { taints }).find(({ fact }) => fact === 'no-execute') // prettier-ignore
  t.match(tolerating([]), { name: 'node.kubernetes.io/not-ready', deadlineMs: atMs + 30_000 })
  const usual = { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }
  const far = tolerating([{ ...usual, tolerationSeconds: 300 }])
  t.match(far, { deadlineMs: atMs + 330_000 })
  const notice = far && noticeOf(far)
  t.equal(notice && answerTo(notice, atMs), 'prepare')
  t.equal(notice && answerTo(notice, atMs + 200_000), 'checkpoint-and-resume')
  t.equal(tolerating([usual]), undefined)
  t.equal(tolerating([{ operator: 'Exists' }]), undefined)
})

t.test('a toleration matches a taint as in the API', async (t) => {
  const taint: Taint = { key: 'k', value: 'v', effect: 'NoExecute', addedAtMs: undefined }
  const seconds = (one: Partial<Toleration>) =>
    toleratedSeconds(
      [{ key: '', operator: 'Equal', value: '', effect: '', seconds: undefined, ...one }],
      taint,
    )
  const forEver = Number.POSITIVE_INFINITY
  t.equal(seconds({ key: 'k', value: 'v' }), forEver)
  t.equal(seconds({ key: 'k', value: 'other' }), 0)
  t.equal(seconds({ key: 'k', operator: 'Exists', effect: 'NoSchedule' }), 0)
  t.equal(seconds({ key: 'k', operator: 'Exists', effect: 'NoExecute', seconds: 7 }), 7)
  t.equal(seconds({ key: 'k', operator: 'Exists', seconds: -1 }), 0, 'at once')
  t.equal(seconds({ operator: 'Exists' }), forEver)
  t.equal(seconds({ operator: 'Equal', value: 'v' }), 0, 'an empty key needs Exists')
})

const kinds = (spec: Record<string, unknown>, conditions: object[] = []) =>
  told({}, spec, conditions).map((one) => noticeOf(one)?.kind ?? 'none')

t.test('known taints, cordon and conditions have a notice; strange taints have none', async (t) => {
  const tainted = (key: string) => kinds({ taints: [{ key, effect: 'NoSchedule' }] })
  t.same(tainted('ToBeDeletedByClusterAutoscaler'), ['node-leaving'])
  t.same(tainted('karpenter.sh/disrupted'), ['node-leaving'])
  t.same(tainted('DeletionCandidateOfClusterAutoscaler'), ['node-cordoned'])
  t.same(tainted('node.kubernetes.io/unschedulable'), ['node-cordoned'])
  t.same(tainted('aws-node-termination-handler/spot-itn'), ['machine-terminated'])
  t.same(tainted('cloud.google.com/impending-node-termination'), ['machine-terminated'])
  t.same(tainted('nvidia.com/gpu'), ['none'])
  t.same(kinds({ unschedulable: true }), ['node-cordoned'])
  t.same(kinds({ taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] }), ['node-leaving', 'pod-disrupted']) // prettier-ignore
  t.same(kinds({}, [{ type: 'MemoryPressure', status: 'True' }]), ['machine-at-risk'])
  t.same(
    kinds({}, [{ type: 'DiskPressure', status: 'True' }]),
    ['none'],
    'a checkpoint would fill it further',
  )
  t.same(kinds({}, [{ type: 'MemoryPressure', status: 'False' }]), [])
  t.same(kinds({}, [{ type: 'SomebodysOwn', status: 'True' }]), [])
})

t.test('nothing that Kubernetes says ends an application before its preStop', async (t) => {
  for (const { fact, names = ['x'] } of disruptionRules)
    for (const name of names)
      for (const deadlineMs of [undefined, atMs + 1_000, atMs + 10 ** 7]) {
        const notice = noticeOf({
          id: 'i',
          fact,
          name,
          ...(deadlineMs === undefined ? {} : { deadlineMs }),
          detail: 'd',
        })
        const isMachine = notice?.kind === 'machine-terminated'
        if (notice !== undefined && !isMachine)
          t.not(answerTo(notice, atMs), 'checkpoint-and-hold', `${fact} ${name}`)
      }
})

t.test('the explanation has every name', async (t) => {
  const text = explainDisruptions()
  for (const { names = [] } of disruptionRules) for (const name of names) t.match(text, name)
})
