import t from 'tap'
import { podDiff } from '../../demo/pod-diff.ts'

const pod = (name: string, more: object = {}) => ({
  kind: 'Pod',
  metadata: {
    name,
    labels: { app: 'training', team: 'machine-learning', queue: 'night', tier: 'batch', region: 'eu-west-1' },
  },
  spec: {
    containers: [
      { name: 'main', command: ['python3', 'train.py', '--steps=1000', '--rate=0.05', '--momentum=0.9'] },
    ],
    ...more,
  },
})

t.test('what went and what came is shown with what stands around it', async (t) => {
  t.same(podDiff(pod('one'), pod('two')), [
    ' kind: Pod',
    ' metadata:',
    '-  name: one',
    '+  name: two',
    '   labels:',
    '     app: training',
    ' ⋮',
  ])
})

t.test('lists of plain values take one line, however long', async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => `CAPABILITY_${index}`)
  const added = podDiff(pod('one'), pod('one', { add: names })).filter((line) => line.startsWith('+'))
  t.equal(added.length, 1, added.join('\n'))
})

t.test('the same pod has no difference', async (t) => {
  t.same(podDiff(pod('one'), pod('one')), [' ⋮'])
})
