/** Files of config maps, secrets and projected volumes, which lie in a folder of another name in each pod. */
import t from 'tap'
import type { VolumeSources } from '../harness/volumes.ts'
import { pythonImage } from '../images/debian.ts'
import { application, deadlineMs, openStage, replaced, sidecar, type PodOptions } from './support.ts'

const script =
  'n=0; while :; do n=$((n+1)); echo "turn $n"; sleep 0.5; done\n# The shell reads on from here.\n'
const sources = (content: string): VolumeSources => ({
  configMaps: { settings: { key: content, 'run.sh': script } },
  secrets: { secret: { key: content } },
})
const options: PodOptions = {
  volumeMounts: ['settings', 'secret', 'projected'].map((name) => ({ name, mountPath: `/${name}` })),
  spec: {
    volumes: [
      { name: 'settings', configMap: { name: 'settings' } },
      { name: 'secret', secret: { secretName: 'secret' } },
      { name: 'projected', projected: { sources: [{ configMap: { name: 'settings' } }, { secret: { name: 'secret', items: [{ key: 'key', path: 'of-secret' }] } }] } }, // prettier-ignore
    ],
  },
}

t.test('a script of a config map runs on', async (t) => {
  const stage = await openStage(t, { base: await pythonImage() })
  const { before, after } = await replaced(
    stage,
    { command: ['bash', '/settings/run.sh'], ...options },
    /^turn/,
    () => sources('same'),
  )
  const last = (pod: typeof before) => Number(/turn (\d+)\s*$/.exec(pod.logs(application))?.[1])
  t.match(after.logs(application), new RegExp(`^turn ${last(before) + 1}$`, 'm'), 'from where it was')
})

for (const [how, path] of [
  ['open', '/settings/key'],
  ['open', '/secret/key'],
  ['open', '/projected/of-secret'],
  ['map', '/settings/key'],
  ['watch', '/settings/key'],
  ['watch', '/settings/..data'],
  ['folder', '/settings/..data'],
] as const)
  t.test(`${path} is held by a program (${how}), and is the new pod's`, async (t) => {
    const stage = await openStage(t, {
      base: await pythonImage(),
      programs: ['cluster_files.py', 'findings.py'],
    })
    const command = ['python3', '-u', '/app/cluster_files.py', how, path]
    const { after } = await replaced(stage, { command, ...options }, /^turn/, () => sources('same'))
    t.notMatch(after.logs(application), /^content/m, 'the same content as before')
  })

t.test('a file that the cluster has changed meanwhile is the new one, and that is said', async (t) => {
  const stage = await openStage(t, {
    base: await pythonImage(),
    programs: ['cluster_files.py', 'findings.py'],
  })
  const command = ['python3', '-u', '/app/cluster_files.py', 'open', '/settings/key']
  const { after } = await replaced(stage, { command, ...options }, /^turn/, (round) =>
    sources(round === 0 ? 'before' : 'changed since'),
  )
  await after.waitForLog(application, /^content: "changed since"$/, { deadlineMs })
  t.match(after.logs(sidecar), /has changed since the checkpoint/)
})
