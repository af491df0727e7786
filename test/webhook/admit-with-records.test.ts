import t from 'tap'
import { admitWithImages } from '../../webhook/admit-with-images.ts'
import type { LineageRecords } from '../../webhook/lineage-records.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { recordedReviews, sampleConfig } from './admission-fixtures.ts'

const config = sampleConfig()

/** The recorded review of a Job's pod, whose container is given a limit. */
function limited(): AdmissionRequest {
  const request = recordedReviews().find(({ name }) => name.startsWith('create-job'))?.request
  const pod = structuredClone(request?.object) as Pod
  const [container] = pod.spec.containers
  if (request === undefined || container === undefined) throw new Error('no recorded review of a Job’s pod')
  container.resources = { limits: { memory: '512Mi' } }
  return { ...request, object: pod }
}

/** What the answer's patch does to memory limits. */
async function limitsGiven(records: LineageRecords, budgetMs = 2_000) {
  const admission = await admitWithImages(undefined, records)(limited(), 'namespace', config, budgetMs)
  const { patch, allowed } = admission.response
  const operations = JSON.parse(Buffer.from(patch ?? 'W10=', 'base64').toString()) as { path: string; value: unknown }[] // prettier-ignore
  const limits = operations.filter(({ path }) => path.endsWith('/limits/memory')).map(({ value }) => value)
  const recordsNeeds = admission.decision.outcome === 'inject' && admission.decision.plan.containers.every(({ memory }) => memory.recordsNeeds) // prettier-ignore
  return { allowed, limits, recordsNeeds }
}

t.test('asks for each protected container by its lineage, and gives what is recorded', async (t) => {
  const asked: string[] = []
  const given = await limitsGiven({
    memoryNeed: async (lineage, container) => {
      asked.push(`${lineage} ${container}`)
      return 1024 ** 3
    },
  })
  t.strictSame(asked.length, 1)
  t.match(asked[0], /\/Job\//)
  t.strictSame(given, { allowed: true, limits: ['1073741824'], recordsNeeds: true })
})

const none = { allowed: true, limits: [], recordsNeeds: true }

t.test('a lineage without a record, and records that fail or hang, leave the limit as it is', async (t) => {
  t.strictSame(await limitsGiven({ memoryNeed: async () => undefined }), none)
  t.strictSame(await limitsGiven({ memoryNeed: () => Promise.reject(new Error('gone')) }), none)
  // The budget's timer does not keep Node alive by itself, and here nothing else does.
  const alive = setInterval(() => undefined, 1_000)
  t.teardown(() => clearInterval(alive))
  t.strictSame(await limitsGiven({ memoryNeed: () => new Promise(() => {}) }, 500), none)
})
