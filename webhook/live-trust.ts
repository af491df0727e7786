/** The certificates that API servers trust now: the caBundle of every entry of the webhook configurations that name us. */
import { ReprieveError } from '../src/errors.ts'
import type { KubeApi } from '../src/kube-api.ts'
import type { Expectation } from './handshake.ts'

export type LiveEntry = Expectation & { name: string }

type Configuration = {
  webhooks?: {
    name?: string
    clientConfig?: { caBundle?: string; url?: string; service?: { name?: string; namespace?: string } }
  }[]
}

/** The guard's may be absent, and so may the other one. */
const kinds = ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'] as const

/** @param name of both configurations. @throws ReprieveError or Error when they cannot be read */
export async function readLiveTrust(api: KubeApi, name: string): Promise<LiveEntry[]> {
  const read = await Promise.all(
    kinds.map(async (kind) => {
      const { status, body } = await api('GET', `/apis/admissionregistration.k8s.io/v1/${kind}/${name}`)
      if (status === 404) return []
      if (status !== 200)
        throw new ReprieveError('command-failed', `the API server answered ${status} for ${kind}/${name}`, {
          status,
        })
      return ((body as Configuration | undefined)?.webhooks ?? []).map(
        ({ name: entry = '', clientConfig = {} }) => ({
          name: entry,
          host: hostOf(clientConfig),
          caBundle: Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'),
        }),
      )
    }),
  )
  return read.flat()
}

/** As the API server's client asks for it (webhook/client.go of apiserver). */
function hostOf({ url, service }: { url?: string; service?: { name?: string; namespace?: string } }): string {
  if (url !== undefined && URL.canParse(url)) return new URL(url).hostname
  return `${service?.name ?? ''}.${service?.namespace ?? ''}.svc`
}
