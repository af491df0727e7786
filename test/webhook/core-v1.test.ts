import t from 'tap'
import { recordedReviews } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'

const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec })
const container = (fields: object) => pod({ containers: [{ name: 'a', ...fields }] })

t.test('the validator takes every pod that an API server sent', async (t) => {
  const pods = recordedReviews().filter(
    ({ request }) => request.kind.kind === 'Pod' && request.object !== null,
  )
  t.ok(pods.length >= 9)
  for (const { name, request } of pods) t.same(problemsOfCoreV1('Pod', request.object), [], name)
})

t.test('and refuses wrong ones', async (t) => {
  const wrong: [string, object][] = [
    ['no containers', pod({})],
    ['a container without a name', pod({ containers: [{ image: 'a' }] })],
    ['a misspelt field', container({ comand: ['a'] })],
    ['a misspelt field of the pod', { ...pod({ containers: [] }), sepc: {} }],
    ['a misspelt field of the spec', pod({ containers: [], shareProcessNamespaces: true })],
    ['a command that is a text', container({ command: 'sh' })],
    ['a flag that is a text', container({ tty: 'true' })],
    ['a wrong restart policy', pod({ containers: [], restartPolicy: 'Sometimes' })],
    ['a quantity that is none', container({ resources: { limits: { memory: 'lots' } } })],
    ['a fraction of a second', pod({ containers: [], terminationGracePeriodSeconds: 1.5 })],
    ['a mount without a path', container({ volumeMounts: [{ name: 'a' }] })],
    ['capabilities of a wrong form', container({ securityContext: { capabilities: { add: 'SYS_ADMIN' } } })],
    ['an unknown seccomp type', container({ securityContext: { seccompProfile: { type: 'Loose' } } })],
    ['an unknown volume kind', pod({ containers: [], volumes: [{ name: 'a', emptyDirectory: {} }] })],
    ['labels that are not texts', { ...pod({ containers: [] }), metadata: { labels: { a: 1 } } }],
    ['a preStop that is a command', container({ lifecycle: { preStop: { command: ['a'] } } })],
  ]
  for (const [name, value] of wrong) t.not(problemsOfCoreV1('Pod', value).length, 0, name)
})

t.test('a pod that breaks a rule beyond the schema is refused, too', async (t) => {
  const a = { name: 'a' }
  t.same(problemsBeyondSchema({ spec: { containers: [a], volumes: [{ name: 'v' }] } }), [])
  t.same(problemsBeyondSchema({ spec: { containers: [a], initContainers: [a] } }), ['container a twice'])
  t.same(problemsBeyondSchema({ spec: { containers: [a], volumes: [a, a] } }), ['volume a twice'])
  const mount = { name: 'v', mountPath: '/x' }
  t.same(problemsBeyondSchema({ spec: { containers: [{ ...a, volumeMounts: [mount, mount] }] } }), [
    'mount path of a /x twice',
    'a mounts no volume v',
    'a mounts no volume v',
  ])
})
