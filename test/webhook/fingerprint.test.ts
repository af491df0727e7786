/** The limits of a fingerprint's parts; which parts there are is in test/fixtures/pods/fingerprint.yaml. */
import t from 'tap'
import { problemsOf } from '../../src/shape.ts'
import { differencesOf, workPartsLimits, workPartsShape } from '../../src/work.ts'
import { fingerprintOf } from '../../webhook/fingerprint.ts'
import type { Pod } from '../../webhook/pod.ts'
import { samplePod } from './admission-fixtures.ts'

const rules = { annotations: [], withoutEnv: [] }

function workOf(env: { name: string; value: string }[]) {
  const pod: Pod = samplePod()
  const [container] = pod.spec.containers
  if (container === undefined) throw new Error('the sample pod has no container')
  return fingerprintOf(pod, Object.assign(container, { env }), ['python3'], rules)
}

const many = (last: string) =>
  Array.from({ length: 2_000 }, (_, n) => ({ name: `VARIABLE_${n}`, value: n === 1_999 ? last : 'same' }))

t.test(
  'the parts of a pod with thousands of variables stay small, and a change of one is told',
  async (t) => {
    const [before, after] = [workOf(many('1')), workOf(many('2'))]
    t.ok(JSON.stringify(before.parts).length <= workPartsLimits.planBytes)
    t.same(differencesOf(before, after), ['env'])
    t.same(differencesOf(before, workOf(many('1'))), [])
  },
)

t.test('a name of any length and content can be written into a manifest', async (t) => {
  for (const name of ['x'.repeat(50_000), 'ä'.repeat(3_000), '\ud800', '__proto__', ' ', '']) {
    const { parts } = workOf([{ name, value: '1' }])
    t.same(problemsOf(workPartsShape, parts), [], name.slice(0, 20))
    t.not(workOf([{ name, value: '2' }]).fingerprint, workOf([{ name, value: '1' }]).fingerprint)
  }
})

t.test('a small pod names each part, and keeps no value', async (t) => {
  const secret = 'a value that nobody may read'
  const { parts } = workOf([{ name: 'TOKEN', value: secret }])
  t.ok(Object.keys(parts).includes('env TOKEN'))
  t.notOk(JSON.stringify(parts).includes(secret))
})
