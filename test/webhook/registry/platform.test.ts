import t from 'tap'
import type { Pod } from '../../../webhook/pod.ts'
import type { Descriptor } from '../../../webhook/registry/manifest.ts'
import { architectureOf, chooseImage } from '../../../webhook/registry/platform.ts'
import { samplePod } from '../admission-fixtures.ts'

const requiring = (...terms: object[]): Pod =>
  samplePod({
    spec: {
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
      },
    },
  })
const arch = (...values: string[]) => ({
  matchExpressions: [
    { key: 'disk', operator: 'Exists' },
    { key: 'kubernetes.io/arch', operator: 'In', values },
  ],
})

t.test('the architecture is what the pod asks of its node, else the usual one', async (t) => {
  const cases: [string, Pod, string][] = [
    ['nothing', samplePod(), 'amd64'],
    ['a selector', samplePod({ spec: { nodeSelector: { 'kubernetes.io/arch': 'arm64' } } }), 'arm64'],
    [
      'the older label',
      samplePod({ spec: { nodeSelector: { 'beta.kubernetes.io/arch': 's390x' } } }),
      's390x',
    ],
    ['one required', requiring(arch('arm64')), 'arm64'],
    ['several, the usual among them', requiring(arch('arm64', 'amd64')), 'amd64'],
    ['several, the usual not among them', requiring(arch('arm64', 's390x')), 'arm64'],
    ['alternatives that agree', requiring(arch('arm64'), arch('arm64')), 'arm64'],
    ['an alternative that leaves it open', requiring(arch('arm64'), { matchExpressions: [] }), 'amd64'],
    [
      'an exclusion',
      requiring({ matchExpressions: [{ key: 'kubernetes.io/arch', operator: 'NotIn', values: ['arm64'] }] }),
      'amd64',
    ],
    ['something else altogether', samplePod({ spec: { affinity: { nodeAffinity: 7 } } }), 'amd64'],
  ]
  for (const [name, pod, expected] of cases) t.equal(architectureOf(pod, 'amd64'), expected, name)
})

const entry = (architecture: string, variant?: string, os = 'linux'): Descriptor => ({
  digest: [os, architecture, variant].join('-'),
  platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
})
const attestation = entry('unknown', undefined, 'unknown')

t.test(
  'of an index the runtime’s choice is taken, never another system’s image or an attestation',
  async (t) => {
    const index = [
      attestation,
      entry('amd64', undefined, 'windows'),
      entry('amd64', 'v3'),
      entry('amd64'),
      entry('arm', 'v5'),
      entry('arm', 'v7'),
      entry('arm64', 'v8'),
      { digest: 'no platform' },
    ]
    t.equal(chooseImage(index, 'amd64')?.digest, 'linux-amd64-')
    t.equal(chooseImage(index, 'arm')?.digest, 'linux-arm-v7')
    t.equal(chooseImage(index, 'arm64')?.digest, 'linux-arm64-v8')
    t.equal(chooseImage(index, 's390x'), undefined)
    t.equal(chooseImage([entry('amd64', 'v3')], 'amd64')?.digest, 'linux-amd64-v3')
  },
)

t.test('an index with one image for Linux is as good as that image', async (t) => {
  t.equal(chooseImage([attestation, entry('arm64')], 'amd64')?.digest, 'linux-arm64-')
  t.equal(chooseImage([attestation, entry('arm64', undefined, 'windows')], 'amd64'), undefined)
  t.equal(chooseImage([], 'amd64'), undefined)
})
