/**
 * The guard as a real API server asks it: match conditions are evaluated there and nowhere else. People are impersonated, since whoever runs
 * this is likely one of system:masters, of whom the guard is never asked.
 */
import { strict as assert } from 'node:assert'
import { describeError } from '../../src/errors.ts'
import type { Kubectl } from './kubectl.ts'
import { userNamespace } from './workloads.ts'

const group = 'reprieve-e2e-developers'
const asDeveloper = [
  '--as=reprieve-e2e-developer',
  `--as-group=${group}`,
  '--as-group=system:authenticated',
  `--namespace=${userNamespace}`,
]

/** May by RBAC do in the namespace what the guard has to forbid. */
export function developers(): object[] {
  const name = 'developers'
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'patch'] },
    { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
    { apiGroups: [''], resources: ['pods/exec', 'pods/attach'], verbs: ['get', 'create'] },
    { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['patch', 'update'] },
  ]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
  const subjects = [{ kind: 'Group', name: group, apiGroup: 'rbac.authorization.k8s.io' }]
  const metadata = { name, namespace: userNamespace }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  return [
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects },
  ]
}

/** @throws AssertionError when a developer gets into Reprieve's containers of the pod, or is kept out of the application */
export async function assertGuarded(kubectl: Kubectl, pod: string, image: string): Promise<void> {
  const developer = (...args: string[]) => kubectl(...asDeveloper, ...args)
  const debug = (name: string, target: string, profile: string) => {
    const wanted = `--image=${image} --image-pull-policy=IfNotPresent --container=${name} --target=${target}`
    return ['debug', pod, ...wanted.split(' '), `--profile=${profile}`, '--', 'true']
  }
  assert.equal(await developer('exec', pod, '--container=count', '--', 'echo', 'in'), 'in\n')
  assert.equal(await developer('exec', pod, '--', 'echo', 'in'), 'in\n')
  await developer(...debug('debug-application', 'count', 'baseline'))

  for (const container of ['reprieve-sidecar', 'reprieve-restore'])
    await assertDenied('exec.reprieve.dev', developer('exec', pod, `--container=${container}`, '--', 'id'))
  await assertDenied('exec.reprieve.dev', developer('attach', pod, '--container=reprieve-sidecar'))
  await assertDenied(
    'debug.reprieve.dev',
    developer(...debug('debug-sidecar', 'reprieve-sidecar', 'baseline')),
  )
  await assertDenied('debug.reprieve.dev', developer(...debug('debug-tracing', 'count', 'general')))
  await assertDenied('update.reprieve.dev', developer('set', 'image', `pod/${pod}`, 'reprieve-sidecar=other'))
  await assertDenied('update.reprieve.dev', developer('label', 'pod', pod, 'reprieve.dev/injected-'))
  await developer('label', 'pod', pod, 'team=theirs')
}

/** While no replica answers: the guard's own requests wait for it, and nobody else's do. */
export async function assertFailsClosed(kubectl: Kubectl, pod: string): Promise<void> {
  const developer = (...args: string[]) => kubectl(...asDeveloper, ...args)
  await assertRefused(
    /failed calling webhook "exec\.reprieve\.dev"/,
    developer('exec', pod, '--container=reprieve-sidecar', '--', 'id'),
  )
  assert.equal(await developer('exec', pod, '--container=count', '--', 'echo', 'in'), 'in\n')
}

function assertDenied(webhook: string, attempt: Promise<string>): Promise<void> {
  return assertRefused(new RegExp(`admission webhook "${webhook}" denied the request`), attempt)
}

async function assertRefused(why: RegExp, attempt: Promise<string>): Promise<void> {
  const said = await attempt.then(
    (output) => assert.fail(`it should have been refused, and said: ${output}`),
    (error: unknown) => describeError(error),
  )
  assert.match(said, why)
}
