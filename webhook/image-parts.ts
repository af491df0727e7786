/** Builds the look-up of images from the configuration and from the environment of the process. */
import type { EntrypointConfig } from '../src/config.ts'
import { describeError } from '../src/errors.ts'
import { accessFromPod, createKubeApi, type KubeApi } from '../src/kube-api.ts'
import type { EventLog } from '../src/log.ts'
import { certificatesIn } from './certificates-in.ts'
import type { ImageParts } from './admit-with-images.ts'
import { ImageLookUp } from './registry/image-look-up.ts'
import { rangesIn } from './registry/inside.ts'
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
  const trust = {
    plainHttp: config.plainHttp,
    named: namedHosts(config),
    ranges: rangesIn(config.insideRegistries),
  }
  const authorities =
    config.caFile === undefined ? [] : await certificatesIn(config.caFile, 'entrypoints.caFile')
  const transport = createTransport(trust, authorities)
  return {
    lookUp: new ImageLookUp({ config, transport, log }),
    secrets: new PullSecrets(config.pullSecrets === 'use' ? { api } : 'ignored', config.credentialsFile),
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
