/** A pod that gives no command: its image's is found in the registry, and it is protected like any other. */
import t from 'tap'
import { pino } from 'pino'
import { admitWithImages } from '../../webhook/admit-with-images.ts'
import { createImageParts } from '../../webhook/image-parts.ts'
import type { Operation } from '../../webhook/patch-text.ts'
import type { Pod as AdmittedPod } from '../../webhook/pod.ts'
import type { PodManifest } from '../harness/manifest.ts'
import { applied } from '../webhook/patched-pod.ts'
import { recorded } from '../webhook/admission-fixtures.ts'
import { startRegistry } from '../webhook/registry/docker-registry.ts'
import { pushImage, sampleImage } from '../webhook/registry/oci-image.ts'
import { application, deadlineMs, numbersIn, openStage, podOf, type Stage } from './support.ts'

const step = /^step (\d+) /

t.test('an image’s entrypoint with the image’s arguments is protected, and goes on', async (t) => {
  const registry = await startRegistry(t)
  const image = `${registry.host}/team/steps:1`
  const command = { Entrypoint: ['/app/steps'], Cmd: ['1000', '20'] }
  await pushImage(`http://${registry.host}/v2/team/steps`, sampleImage(command), '1')
  const stage = await openStage(t, {
    programs: ['steps.c'],
    config: `entrypoints: { plainHttp: ['${registry.host}'] }`,
  })
  const { app } = stage.images
  if (app === undefined) throw new Error('the stage has no image')
  stage.images[image] = {
    ...app,
    config: { ...app.config, entrypoint: command.Entrypoint, cmd: command.Cmd },
  }
  const pod = podOf({ image })
  t.notOk(pod.spec.containers.some((container) => 'command' in container || 'args' in container))

  const first = await stage.runPlain(await admitted(stage, pod))
  await first.waitForLog(application, /^step 10 /, { deadlineMs })
  await first.evict()
  const second = await stage.runPlain(await admitted(stage, podOf({ image })))
  await second.waitForLog(application, step, { deadlineMs })
  t.equal(numbersIn(second, step)[0], (numbersIn(first, step).at(-1) ?? 0) + 1)
})

/** As the webhook's server does it. */
async function admitted({ config }: Stage, pod: PodManifest): Promise<PodManifest> {
  const images = await createImageParts(config.entrypoints, pino({ level: 'silent' }))
  const request = {
    ...recorded('create-bare-pod').request,
    namespace: pod.metadata.namespace ?? '',
    object: pod,
  }
  const { response } = await admitWithImages(images)(request, 'pod', config, 9500)
  if (response.patch === undefined) throw new Error(`it was not injected: ${JSON.stringify(response)}`)
  const operations = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Operation[]
  return applied(pod as AdmittedPod, operations) as PodManifest
}
