/** A running webhook: both servers and the certificate's reload, and how it all ends. */
import type { AddressInfo } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../src/config.ts'
import type { KubeApi } from '../src/kube-api.ts'
import type { EventLog } from '../src/log.ts'
import { certificatesIn } from './certificates-in.ts'
import { createAdminServer } from './admin-server.ts'
import { admitWithImages, type ImageParts } from './admit-with-images.ts'
import { sayFarewell } from './farewell.ts'
import { measureOverload, measureProcess } from './gauges.ts'
import { LoopDelay } from './loop-delay.ts'
import { Metrics } from './metrics.ts'
import { Overload } from './overload.ts'
import type { LineageRecords } from './lineage-records.ts'
import { contextOf, createServer, type ServerParts } from './server.ts'
import { reloadCertificate, waitForCertificate } from './serving-certificate.ts'
import { Trust, type TrustTimes } from './trust.ts'

/** Part of the time of a shutdown: a connection that is idle for so long is closed without a notice. */
const longestFarewellMs = 2_000

export type RunningWebhook = {
  port: number
  adminPort: number
  metrics: Metrics
  /** Answers what is under way, for at most the configured time, then closes every connection. */
  stop: () => Promise<void>
}

export type ServeOptions = {
  config: Config
  log: EventLog
  certificateWaitMs?: number
  reloadEveryMs?: number
  /** Asked what API servers trust; undefined outside a cluster. */
  api?: KubeApi | undefined
  trustTimes?: TrustTimes
  /** Where images are looked up; nowhere if it is left out. */
  images?: ImageParts | undefined
  /** The records of lineages; undefined where no part keeps them. */
  records?: LineageRecords | undefined
  admit?: ServerParts['admit']
}

/** @throws ReprieveError when no certificate appears in time; an Error when a port is taken */
export async function serveWebhook(options: ServeOptions): Promise<RunningWebhook> {
  const { config, log } = options
  const { host, port, adminHost, adminPort, drainMs } = config.listen
  const metrics = new Metrics()
  const loopDelay = new LoopDelay()
  const overload = new Overload(config.overload, () => loopDelay.ms())
  const trust = new Trust({
    api: options.api,
    configuration: config.listen.webhookConfiguration,
    log,
    registry: metrics.registry,
  })
  measureProcess(metrics.registry)
  measureOverload(metrics.registry, overload)
  const ending = new AbortController()
  let phase: string | undefined = 'it has no serving certificate yet'
  const admin = createAdminServer({
    metrics: () => metrics.text(),
    whyNotReady: () => phase ?? trust.whyNot(),
  })
  await admin.listen({ host: adminHost, port: adminPort })
  let server: FastifyInstance
  try {
    const { clientCaFile } = config.listen
    const clientAuthorities =
      clientCaFile === undefined ? undefined : await certificatesIn(clientCaFile, 'listen.clientCaFile')
    const certificate = await waitForCertificate(config.listen, options.certificateWaitMs ?? 60_000)
    server = createServer({
      config,
      certificate,
      clientAuthorities,
      metrics,
      overload,
      log,
      api: options.api,
      admit: options.admit ?? admitWithImages(options.images, options.records),
    })
    await server.listen({ host, port })
    trust.serves(certificate)
    const { address, port: bound } = server.server.address() as AddressInfo
    const self = { host: loopbackFor(address), port: bound }
    void trust.keepVerified(self, ending.signal, options.trustTimes)
    void reloadCertificate({
      files: config.listen,
      current: certificate,
      everyMs: options.reloadEveryMs ?? 5000,
      log,
      whyNotYet: (pair) => trust.whyNotYet(pair),
      use: (pair) => {
        ;(server.server as unknown as TlsServer).setSecureContext(contextOf(pair, clientAuthorities))
        trust.serves(pair)
        void trust.verify(self)
      },
      signal: ending.signal,
    })
  } catch (error) {
    ending.abort()
    loopDelay.stop()
    await admin.close()
    throw error
  }
  phase = undefined
  const bound = { port: portOf(server), adminPort: portOf(admin) }
  log.info({ event: 'webhook.listening', ...bound }, 'listened')

  const stop = async () => {
    phase = 'it was told to stop'
    ending.abort()
    const until = performance.now() + drainMs
    await sayFarewell(server.server, Math.min(longestFarewellMs, drainMs / 2))
    const drained = server.close()
    await Promise.race([drained, sleep(until - performance.now(), undefined, { ref: false })])
    server.server.closeAllConnections()
    await drained
    await admin.close()
    loopDelay.stop()
    log.info({ event: 'webhook.stopped' }, 'stopped')
  }
  return { ...bound, metrics, stop }
}

/** A server that listens on every address listens on the loopback, too. */
function loopbackFor(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address
}

function portOf(app: FastifyInstance): number {
  return (app.server.address() as AddressInfo).port
}
