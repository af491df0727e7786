/** What ordinary users would run: a StatefulSet, a Deployment, a ReplicationController and a Job that count, each asking by one annotation. */

export const userNamespace = 'reprieve-e2e'

/** Prints `step N of GENERATION` with the pod's own birth in it, so that a start from the beginning shows. */
const counting = [
  'born=$(cut -d" " -f1 /proc/uptime) n=0',
  'echo "born $born"',
  'while [ $n -lt "${STEPS}" ]; do n=$((n+1)); echo "step $n born $born"; sleep 0.2; done',
  'echo "finished $n born $born"',
].join('\n')

type Template = { metadata: object; spec: object }

function template(app: string, image: string, node: string, steps: number, restartPolicy: string): Template {
  return {
    metadata: { labels: { app }, annotations: { 'reprieve.dev/checkpoint': 'true' } },
    spec: {
      restartPolicy,
      terminationGracePeriodSeconds: 5,
      // The test's store is a folder of one host.
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [
        {
          name: 'count',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', counting],
          env: [{ name: 'STEPS', value: String(steps) }],
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
        },
      ],
    },
  }
}

export function statefulSet(image: string, node: string): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'count', namespace: userNamespace },
    spec: {
      serviceName: 'count',
      replicas: 1,
      selector: { matchLabels: { app: 'count' } },
      template: template('count', image, node, 1_000_000, 'Always'),
    },
  }
}

/** Its replacement is made the moment a pod is told to end: it has to wait its turn. */
export function deployment(image: string, node: string): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'serve', namespace: userNamespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'serve' } },
      template: template('serve', image, node, 1_000_000, 'Always'),
    },
  }
}

/** A controller that Reprieve knows nothing of: its pods have no name until after the mutating webhooks. */
export function replicationController(image: string, node: string): object {
  return {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name: 'old', namespace: userNamespace },
    spec: {
      replicas: 1,
      selector: { app: 'old' },
      template: template('old', image, node, 1_000_000, 'Always'),
    },
  }
}

export function job(image: string, node: string, steps: number): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'sum', namespace: userNamespace },
    spec: {
      backoffLimit: 4,
      // The replacement comes when the old pod has ended, not while it is being checkpointed.
      podReplacementPolicy: 'Failed',
      template: template('sum', image, node, steps, 'Never'),
    },
  }
}

/** That nothing replaces. */
export function barePod(name: string, image: string, node: string): object {
  const { metadata, spec } = template('bare', image, node, 1_000_000, 'Never')
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name, namespace: userNamespace },
    spec,
  }
}

/** Removes the test's store from the host. */
export function storeSweeper(image: string, node: string, folder: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'sweep-store', namespace: userNamespace },
    spec: {
      restartPolicy: 'Never',
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [
        {
          name: 'sweep',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', 'rm -rf /store/*'],
          securityContext: { runAsUser: 0 },
          volumeMounts: [{ name: 'store', mountPath: '/store' }],
        },
      ],
      volumes: [{ name: 'store', hostPath: { path: folder, type: 'DirectoryOrCreate' } }],
    },
  }
}
