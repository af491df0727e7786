/** The schema of config.yaml: what the administrator may write, its defaults, and what each key means. `scripts/config-docs.ts` publishes it. */
import { Type, type Static } from '@sinclair/typebox'
import { entrypoints } from './config-entrypoints.ts'
import { bytesAbove0, duration, endpoint, evictionThreshold, quantityFrom } from './config-forms.ts'
import { byName, closed, file, objectName, oneOf, port, section, span, text } from './config-parts.ts'
import { resources } from './config-resources.ts'
import { store } from './config-stores.ts'
import { cloudChoices } from './pod-plan.ts'

/** Capabilities that an administrator may take from the sidecar where the nodes do not grant them, at a price. */
export const optionalCapabilities = ['SYS_RESOURCE', 'SYS_TIME', 'NET_ADMIN', 'DAC_READ_SEARCH'] as const
const statusHosts = ['127.0.0.1', '0.0.0.0', '::'] as const

const address = (description: string) => Type.String({ minLength: 1, expected: 'a text', default: '0.0.0.0', description }) // prettier-ignore
const certificate = (name: string, description: string) =>
  Type.String({ minLength: 1, expected: 'a text', default: `/run/reprieve/certs/${name}`, description })

export const configSchema = Type.Object(
  {
    namespace: text('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$', 'the name of a namespace', {
      default: 'reprieve-system',
      description: 'the namespace of Reprieve itself; the webhook never changes its pods',
    }),
    image: text('^\\S{1,1024}$', 'an image reference', {
      description:
        'the injected image; without it the environment variable REPRIEVE_IMAGE, which the manifests set',
    }),
    imagePullPolicy: oneOf(['IfNotPresent', 'Always', 'Never'], {
      default: 'IfNotPresent',
      description: 'the pull policy of the injected containers',
    }),
    stores: byName(
      store,
      { pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$', expected: 'a DNS label' },
      {
        required: ['default'],
        whenMissing: {
          default:
            'name where checkpoints go, for example `stores: { default: { nfs: { server: nfs.example.com, path: /exports/reprieve } } }` (or persistentVolumeClaim, or hostPath, which serves one node only)',
        },
        description: 'the stores by name; `default` is the store of pods that name none',
      },
    ),
    wholeStores: Type.Array(Type.String({ expected: 'the name of a store' }), {
      uniqueItems: true,
      default: [],
      description:
        "stores of the kinds hostPath and nfs that pods mount whole, for the time of an update from a release before 0.3; of others a pod mounts its namespace's folder only",
    }),
    keep: Type.Integer({ minimum: 1, maximum: 100, default: 3, description: 'checkpoints that are kept for pods that do not say' }), // prettier-ignore
    retention: Type.Object(
      {
        ttl: duration('1h', '87600h', ', for example 168h', {
          default: '168h',
          description:
            'how long the checkpoints of a lineage stay in the store after its last pod ended; a sweep removes them then',
        }),
        namespaceBytes: Type.Optional(
          bytesAbove0({
            description:
              'the checkpoints of a namespace in one store; beyond it a sweep removes those of lineages that ended, the longest unused first; without it there is no bound',
          }),
        ),
      },
      section,
    ),
    checkpointBudget: span(
      "how long a checkpoint at the pod's end may take; the grace period of every protected pod grows by it and 5 s",
      '120s',
    ),
    restoreBudget: span('how long fetching and verifying a checkpoint may delay the start of a pod', '300s'),
    maxFreeze: span(
      'how long a periodic checkpoint may stop the application; one that is expected to take longer is not begun',
      '30s',
    ),
    statusPort: port('the status port of the sidecar in the pod; 0 for none', 9464),
    statusHost: oneOf(statusHosts, {
      default: '127.0.0.1',
      description:
        'the address of the status port; `0.0.0.0` or `::` lets Prometheus read `/metrics`, and nothing else, from outside the pod',
    }),
    cloud: oneOf(cloudChoices, { default: 'auto', description: 'the cloud whose notices the sidecars read; `auto` detects it' }), // prettier-ignore
    cloudEndpoint: Type.Optional(
      endpoint({ description: "the address of the metadata service, instead of the cloud's own" }),
    ),
    meanTimeBetweenFailures: duration('1m', '87600h', ', for example 24h', {
      default: '24h',
      description: 'of a machine, from every cause; the interval `auto` is computed from it',
    }),
    sidecar: Type.Object(
      {
        withoutCapabilities: Type.Array(
          Type.Unsafe<(typeof optionalCapabilities)[number]>({
            type: 'string',
            enum: [...optionalCapabilities],
          }),
          {
            uniqueItems: true,
            default: [],
            description: 'capabilities that the sidecar does without, where the nodes do not grant them',
          },
        ),
        resources: resources('the sidecar'),
      },
      section,
    ),
    restore: Type.Object({ resources: resources('the restore init container') }, section),
    memory: Type.Object(
      {
        max: Type.Optional(
          bytesAbove0({
            description:
              'how far a container may grow whose pod does not say; without it four times its memory limit',
          }),
        ),
        resizeSocket: Type.Optional(
          text('^/(?!.*(?:^|/)\\.\\.(?:/|$))\\S+$', 'an absolute path without ".."', {
            description:
              'the Unix socket, as containers of the pod see it, of the service that resizes them in place',
          }),
        ),
        nodeEviction: evictionThreshold({
          default: '100Mi',
          description:
            '`memory.available` of the `evictionHard` of the kubelets: a quantity, or a share of the node such as `5%`',
        }),
      },
      section,
    ),
    fingerprint: Type.Object(
      {
        annotations: Type.Array(
          text('^[A-Za-z0-9._/-]{1,317}\\*?$', 'the name of an annotation, or its beginning and "*"', {
            description: 'an annotation',
          }),
          {
            default: [],
            description:
              'further annotations of a pod that are changed to force a restart from the beginning',
          },
        ),
        withoutEnv: Type.Array(
          text('^[^*=\\s]{1,256}\\*?$', 'the name of a variable, or its beginning and "*"', {
            description: 'a variable',
          }),
          {
            default: ['ARGO_NODE_ID', 'ARGO_DEADLINE'],
            description:
              'variables that a controller sets anew for each pod: a new value does not make other work of it',
          },
        ),
      },
      section,
    ),
    helpers: Type.Object(
      {
        names: Type.Array(
          text('^[a-z0-9-]*\\*?[a-z0-9-]*$', 'a name, in which one * stands for any text', {
            description: 'a name',
          }),
          {
            default: [],
            description:
              'names of containers, beside those that Reprieve knows, that are proxies or helpers and are not protected unless the pod names them',
          },
        ),
        images: Type.Array(
          text(
            '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$',
            'the repository of an image, or its end after a slash',
            { description: 'an image' },
          ),
          {
            default: [],
            description: 'the same, by the repositories of their images, such as `tools/log-agent`',
          },
        ),
      },
      section,
    ),
    runtimeClasses: byName(
      Type.Unsafe<'runc' | 'other'>({ type: 'string', enum: ['runc', 'other'] }),
      { pattern: objectName.pattern, expected: 'the name of a runtime class' },
      {
        description:
          'runtime classes by name: `runc` where runc or crun runs the containers, `other` for sandboxes and virtual machines; Reprieve knows the usual names',
      },
    ),
    resourcesWithoutDevice: Type.Array(
      text('^[a-z0-9][A-Za-z0-9.-]*/[A-Za-z0-9._-]*$', 'an extended resource, or its domain with a slash', {
        description: 'a resource',
      }),
      {
        default: [],
        description:
          'extended resources that give a container no device; every other one leaves a protected container unprotected',
      },
    ),
    guard: Type.Object(
      {
        allowedGroups: Type.Array(text('^.{1,256}$', 'the name of a group', { description: 'a group' }), {
          default: ['system:masters'],
          description: 'the groups whose members may reach into the sidecar',
        }),
      },
      section,
    ),
    entrypoints,
    overload: Type.Object(
      {
        requests: Type.Integer({ minimum: 1, maximum: 100_000, default: 1000, description: 'reviews that may be under way at a time' }), // prettier-ignore
        // No less than one body may have (webhook/server.ts): each must be able to come through.
        bytes: quantityFrom('10Mi', {
          default: '32Mi',
          description: 'the size of all reviews under way together',
        }),
        delay: duration('100ms', '10s', '', { default: '3s', description: "how long a review may wait before the webhook reads it; at most half of the API server's time-out" }), // prettier-ignore
      },
      section,
    ),
    listen: Type.Object(
      {
        host: address('the address of the admission port'),
        port: port('the admission port, over TLS', 8443),
        adminHost: address('the address of the admin port'),
        adminPort: port('the port of `/healthz`, `/readyz` and `/metrics`', 8080),
        certFile: certificate('tls.crt', 'the serving certificate; read again every few seconds'),
        keyFile: certificate('tls.key', 'the key of the serving certificate'),
        clientCaFile: file(
          'PEM certificates of the authorities of API servers; with it a client without a certificate of theirs is refused; read at the start',
        ),
        webhookConfiguration: Type.String({
          ...objectName,
          default: 'reprieve',
          description:
            'the name of both webhook configurations, whose `caBundle` must trust the serving certificate',
        }),
        drain: span('how long a shutdown waits for requests under way', '10s'),
      },
      section,
    ),
  },
  closed,
)

/** A file that the schema has accepted, with its defaults. */
export type ConfigFile = Static<typeof configSchema>
