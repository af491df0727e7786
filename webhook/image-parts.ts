/** Builds the look-up of images from the configuration and from the environment of the process. */
import { readFile } from 'node:fs/promises'
import type { EntrypointConfig } from '../src/config.ts'
import { describeError, ReprieveError } from '../src/errors.ts'
import { accessFromPod, createKubeApi, type KubeApi } from '../src/kube-api.ts'
import type { EventLog } from '../src/log.ts'
import type { ImageParts } from './admit-with-images.ts'
import { ImageLookUp } from './registry/image-look-up.ts'
import { PullSecrets } from './registry/pull-secrets.ts'
import { namedHosts } from './registry/sources.ts'
import { createTransport } from './registry/transport.ts'

/** A Secret is read in the midst of an admission. */
const apiTimeoutMs = 2000

/** @throws ReprieveError `config-invalid` if the file of certificates cannot be used */
export async function createImageParts(
  config: EntrypointConfig,
  log: EventLog,
  api?: KubeApi,
): Promise<ImageParts | undefined> {
  if (config.from === 'nowhere') return undefined
  const trust = { plainHttp: config.plainHttp, named: namedHosts(config) }
  const transport = createTransport(trust, await authoritiesIn(config.caFile))
  return {
    lookUp: new ImageLookUp({ config, transport, log }),
    secrets: new PullSecrets(api, config.credentialsFile),
  }
}

/** As the pod's service account; undefined outside a cluster, or where the pod was given no token: then neither Secrets nor what API servers trust can be read. */
export async function apiOfPod(env: NodeJS.ProcessEnv, log: EventLog): Promise<KubeApi | undefined> {
  try {
    return createKubeApi(await accessFromPod(env), apiTimeoutMs)
  } catch (error) {
    log.warn(
      { event: 'api_server.unreachable', error: describeError(error) },
      'the API server cannot be asked, neither for pull secrets nor for what it trusts',
    )
    return undefined
  }
}

async function authoritiesIn(file: string | undefined): Promise<string[]> {
  if (file === undefined) return []
  const data = { file }
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ReprieveError('config-invalid', `cannot read entrypoints.caFile ${file}`, data, error)
  })
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (found === null)
    throw new ReprieveError('config-invalid', `entrypoints.caFile ${file} has no certificate`, data)
  return found
}
