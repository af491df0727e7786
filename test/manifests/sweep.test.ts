/** The sweeps that the manifests bring: valid, and with a command line that the program takes. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { rendered } from './rendered.ts'
import { problemsOfKubernetes } from './schemas.ts'

type PodSpec = { containers: { image: string; command: string[] }[]; volumes: object[] }
type Workload = {
  spec: { template?: { spec: PodSpec }; jobTemplate?: { spec: { template: { spec: PodSpec } } } }
}

const volumes: Record<string, string> = {
  'sweep/node': 'hostPath',
  'sweep/nfs': 'nfs',
  'sweep/claim': 'persistentVolumeClaim',
}

for (const folder of Object.keys(volumes)) {
  t.test(folder, async (t) => {
    const objects = await rendered(folder)
    t.same(await problemsOfKubernetes(objects), [])
    const { spec } = objects.find(({ kind }) => kind !== 'Namespace') as unknown as Workload
    const pod = spec.template?.spec ?? spec.jobTemplate?.spec.template.spec
    t.match(pod?.volumes, [{ name: 'store', [volumes[folder] ?? '']: Object }])
    const [container] = pod?.containers ?? []
    t.match(container?.image, /^ghcr\.io\/reprieve-dev\/reprieve:/)
    const [node, program, ...args] = container?.command ?? []
    t.same([node, program], ['/usr/local/bin/node', '/opt/reprieve/sidecar/sweep-main.js'])
    const store = mkdtempSync(join(tmpdir(), 'reprieve-sweep-'))
    t.teardown(() => rmSync(store, { recursive: true, force: true }))
    const once = args.filter((arg) => !arg.startsWith('--every')).map((arg) => arg.replace('/store', store))
    const said = execFileSync(process.execPath, ['sidecar/sweep-main.ts', ...once], { encoding: 'utf8' })
    t.equal(said, 'nothing to remove\n')
  })
}
