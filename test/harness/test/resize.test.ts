import t from 'tap'
import type { PodSpec } from '../manifest.ts'
import { Allocations, podRequestBytes, resized } from '../resize.ts'

const mebibyte = 2 ** 20
const container = (name: string, memory: string, request?: string) => ({
  name,
  image: 'i',
  resources: { limits: { memory }, ...(request === undefined ? {} : { requests: { memory: request } }) },
})
const pod = (memory: string, request?: string): PodSpec => ({
  initContainers: [
    container('init', '100Mi'),
    { ...container('sidecar', '64Mi'), restartPolicy: 'Always' },
    container('late', '150Mi'),
  ],
  containers: [container('app', memory, request)],
})

t.test('a pod requests what its containers and sidecars do, or an init container and the sidecars before it', async (t) => {
  t.equal(podRequestBytes(pod('128Mi')), 214 * mebibyte)
  t.equal(podRequestBytes(pod('256Mi')), 320 * mebibyte)
  t.equal(podRequestBytes(pod('256Mi', '10Mi')), 214 * mebibyte)
}) // prettier-ignore

t.test('a request follows the limit that it was equal to', async (t) => {
  t.equal(podRequestBytes(resized(pod('128Mi'), 'app', 512 * mebibyte)), 576 * mebibyte)
  t.equal(podRequestBytes(resized(pod('256Mi', '256Mi'), 'app', 512 * mebibyte)), 576 * mebibyte)
  t.equal(podRequestBytes(resized(pod('256Mi', '160Mi'), 'app', 512 * mebibyte)), 224 * mebibyte)
})

t.test(
  'what does not fit beside other pods waits for one to go; what never fits is infeasible',
  async (t) => {
    const node = new Allocations(1024 * mebibyte)
    node.add('one', pod('256Mi'))
    node.add('other', pod('512Mi'))
    const applied: number[] = []
    const wish = (uid: string, mib: number) =>
    node.resize({ uid, container: 'app', limitBytes: mib * mebibyte, apply: async () => void applied.push(mib) }) // prettier-ignore
    t.equal(await wish('one', 300), 'in force')
    t.equal(await wish('one', 500), 'deferred')
    t.equal(await wish('one', 600), 'deferred', 'the newest wish is the one that counts')
    await t.rejects(wish('other', 1000), /Node didn't have enough capacity: memory, requested/)
    t.equal(await wish('other', 400), 'in force', 'less is always had')
    t.strictSame(applied, [300, 400])
    await node.remove('other')
    t.strictSame(applied, [300, 400, 600])
  },
)

t.test('limits above the requests are none of the kubelet’s concern', async (t) => {
  const node = new Allocations(300 * mebibyte)
  node.add('one', pod('256Mi', '160Mi'))
  t.equal(
    await node.resize({ uid: 'one', container: 'app', limitBytes: 2 ** 40, apply: async () => undefined }),
    'in force',
  )
})
