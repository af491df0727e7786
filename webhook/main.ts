/** The webhook's entry: `node webhook/main.ts --config FILE`; REPRIEVE_IMAGE where the file names no image. */
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config.ts'
import { describeError } from '../src/errors.ts'
import { createLogByTurn } from '../src/log.ts'
import { apiOfPod, createImageParts } from './image-parts.ts'
import { serveWebhook } from './serve.ts'

const log = createLogByTurn('webhook')
try {
  const { values } = parseArgs({
    options: { config: { type: 'string', default: '/etc/reprieve/config.yaml' } },
  })
  const image = process.env.REPRIEVE_IMAGE
  const config = await loadConfig(values.config, image === undefined ? {} : { image })
  const api = await apiOfPod(process.env, log)
  const images = await createImageParts(config.entrypoints, log, api)
  const webhook = await serveWebhook({ config, log, images, api })
  const { promise: told, resolve: tell } = Promise.withResolvers<string>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => tell(signal))
  log.info({ event: 'webhook.stopping', signal: await told }, 'was told to stop')
  await webhook.stop()
} catch (error) {
  log.fatal({ event: 'webhook.failed', error: describeError(error) }, 'failed')
  process.exitCode = 1
}
