/** Root in one container of a pod sees neither the images of another one, on their way to or from the store, nor the store. */
import t from 'tap'
import { application, deadlineMs, openStage, podOf, sidecar } from './support.ts'

t.test('root in the application’s container reads nothing in staging and nothing in the store', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const pod = await stage.run(podOf({ command: ['/app/steps', '100000', '20'] }))
  await pod.waitForLog(application, /^step 10 /, { deadlineMs })
  const inSidecar = (script: string) => pod.exec(sidecar, ['sh', '-c', script], { deadlineMs })
  // As a checkpoint of a second container would lie there.
  const left = await inSidecar(
    'mkdir -p /reprieve/staging/other/id.dump && echo memory > /reprieve/staging/other/id.dump/pages-1.img',
  )
  t.equal(left.code, 0, left.stderr)
  const look =
    'id -u; for root in "" /proc/[0-9]*/root; do find $root/reprieve/staging $root/var/reprieve -type f; done 2>/dev/null; true'
  const { stdout } = await pod.exec(application, ['sh', '-c', look], { deadlineMs })
  t.equal(stdout, '0\n')
  t.match((await inSidecar('find /reprieve/staging -type f')).stdout, /pages-1\.img/, 'the sidecar has it')
  await pod.evict()
  t.match(await stage.manifests(), [{ trigger: 'prestop' }])
})
