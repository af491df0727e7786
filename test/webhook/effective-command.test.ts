import t from 'tap'
import { effectiveCommand } from '../../webhook/effective-command.ts'
import { expand } from '../harness/environment.ts'

const container = (args?: string[] | null) => ({ name: 'main', ...(args === undefined ? {} : { args }) })
const image = { entrypoint: ['/e', '-x'], cmd: ['a', 'b'] }

/** The table of https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/#notes, but for pods with a command. */
t.test('the entrypoint is followed by the pod’s arguments, or else by the image’s', async (t) => {
  t.same(effectiveCommand(container(), image), ['/e', '-x', 'a', 'b'])
  t.same(effectiveCommand(container(null), image), ['/e', '-x', 'a', 'b'])
  t.same(effectiveCommand(container([]), image), ['/e', '-x', 'a', 'b'])
  t.same(effectiveCommand(container(['c']), image), ['/e', '-x'], 'the pod’s stay where they are')
})

t.test('an image may have only one of the two, and may have cleared its entrypoint', async (t) => {
  t.same(effectiveCommand(container(), { entrypoint: [], cmd: ['sh'] }), ['sh'])
  t.same(effectiveCommand(container(), { entrypoint: ['/e'], cmd: [] }), ['/e'])
  t.same(effectiveCommand(container(), { entrypoint: [''], cmd: ['sh'] }), ['sh'])
  t.same(effectiveCommand(container(['sh']), { entrypoint: [], cmd: ['gone'] }), [])
})

t.test('a variable in the image’s command is escaped from the expansion by the kubelet', async (t) => {
  for (const word of ['$(HOME)', '$$(HOME)', '$', '$$', '$$$(X)$', 'a$b', '$(', '${HOME}', '$&']) {
    const [escaped = ''] = effectiveCommand(container(), { entrypoint: [word], cmd: [] })
    t.equal(expand(escaped, { HOME: '/root', X: 'y' }), word, word)
  }
})
