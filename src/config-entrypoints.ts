/** The schema of the section `entrypoints`: how the webhook looks up what an image runs. */
import { Type } from '@sinclair/typebox'
import { duration } from './config-forms.ts'
import { byName, file, oneOf, section, text } from './config-parts.ts'

const host = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?`
const hosts = (pattern: string, expected: string) => Type.Array(Type.String({ pattern, expected }))

export const entrypoints = Type.Object(
  {
    from: oneOf(['registry', 'nowhere'], {
      default: 'registry',
      description:
        'where the webhook reads the entrypoint of an image whose container has no command; `nowhere` leaves such containers unprotected',
    }),
    budget: duration('500ms', '8s', '', {
      default: '4s',
      description:
        "how long the creation of a pod may wait for a registry; at most six tenths of the API server's time-out",
    }),
    architecture: Type.Optional(
      text('^[a-z0-9]{1,16}$', 'an architecture as nodes are labelled with it, for example amd64', {
        description:
          "the image of an index for pods whose node selection names no architecture; without it the webhook's own",
      }),
    ),
    plainHttp: Type.Array(Type.String({ pattern: `^${host}$`, expected: 'a host, with a port if need be' }), {
      default: [],
      description: 'hosts, with their ports, that the webhook asks without TLS',
    }),
    mirrors: byName(
      hosts(`^${host}(?:/[a-z0-9]+(?:[._/-][a-z0-9]+)*)?$`, 'a host, with a port and a path if need be'),
      { pattern: `^${host}$`, expected: 'the domain of images' },
      { description: 'by the domain of images: the mirrors that the webhook asks first, in this order' },
    ),
    insideRegistries: Type.Array(
      Type.String({
        format: 'host-or-range',
        expected: 'a host, with a port if need be, or a range of addresses such as 10.20.0.0/16',
      }),
      {
        default: [],
        description:
          'hosts and ranges of addresses that the webhook may ask although they are inside: private, loopback, link-local or Service addresses',
      },
    ),
    pullSecrets: oneOf(['ignore', 'use'], {
      default: 'ignore',
      description:
        'whether the webhook reads the `imagePullSecrets` of pods; `use` needs `listen.clientCaFile`, and rights in each namespace',
    }),
    caFile: file('PEM certificates that the webhook trusts besides the usual ones; read at the start'),
    credentialsFile: file(
      'a docker `config.json` whose credentials the webhook uses for the pods of all namespaces',
    ),
  },
  section,
)
