/**
 * Containers that serve the application: proxies, agents, log shippers. Injectors put them before the application as well as after it, so their
 * place says nothing. Each entry is what the project itself calls its container or its image. The configuration extends both lists. Pure.
 */
import type { Config } from '../src/config.ts'
import type { Container } from './pod.ts'

/** Names of containers; one `*` stands for any text. Only names that nobody gives an application. */
const names = [
  // Meshes: Istio, linkerd, Consul, Kuma, AWS App Mesh and VPC Lattice, Open Service Mesh, Dapr, NGINX, Cilium.
  'istio-proxy', 'istio-validation', 'linkerd-proxy', 'linkerd-debug', 'linkerd-network-validator', 'consul-dataplane', 'consul-dataplane-*',
  'consul-connect-envoy-sidecar', 'consul-connect-envoy-sidecar-*', 'consul-connect-lifecycle-sidecar', 'consul-sidecar', 'envoy-sidecar', 'envoy-proxy',
  'kuma-sidecar', 'daprd', 'nginx-mesh-sidecar', 'aws-appmesh-envoy', 'ztunnel', 'spiffe-helper', 'spire-agent',
  // Secrets and tokens.
  'vault-agent', 'vault-agent-*', 'vault-proxy', 'bank-vaults', 'azwi-proxy', 'infisical-agent', 'akeyless-sidecar', 'conjur-secrets-provider',
  // Ways to databases and volumes.
  'cloud-sql-proxy', 'cloudsql-proxy', 'cloud_sql_proxy', 'csql-*', 'alloydb-auth-proxy', 'pgbouncer-sidecar', 'gke-gcsfuse-sidecar', 'gke-gcsfuse-metadata-prefetch',
  'blobfuse-sidecar', 's3fs-sidecar', 'juicefs-sidecar', 'fluid-fuse', 'thin-fuse-*', 'tailscale', 'ts-sidecar', 'oauth2-proxy', 'oauth-proxy', 'kube-rbac-proxy',
  'kube-auth-proxy', 'auth-proxy',
  // Serving, workflows, notebooks and builds.
  'queue-proxy', 'kserve-agent', 'kserve-router', 'argoexec', 'metrics-logger-and-collector', 'airflow-xcom-sidecar', 'git-sync', 'git-sync-*', 'log-groomer',
  '*-log-groomer', 'ray-autoscaler', 'dind', 'dind-rootless', 'flyte-copilot-sidecar', 'flyte-copilot-*', 'jupyterhub-idle-culler',
  // Logs, metrics, traces.
  'fluent-bit', 'fluentbit', 'fluentd', 'filebeat', 'metricbeat', 'promtail', 'vector-agent', 'vector-sidecar', 'logging-sidecar', 'log-shipper', 'logstash-sidecar',
  'otel-collector', 'otc-container', 'opentelemetry-collector', 'aws-otel-collector', 'adot-collector', 'jaeger-agent', 'datadog-agent', 'dd-agent', 'cloudwatch-agent',
  'xray-daemon', 'telegraf', 'telegraf-sidecar', 'grafana-agent', 'splunk-otel-collector', 'newrelic-infra', 'statsd', 'statsd-sidecar', 'node-exporter', 'postgres-exporter', 'mysqld-exporter', 'mysql-exporter', 'mongodb-exporter', 'redis-exporter', 'memcached-exporter',
  'kafka-exporter', 'rabbitmq-exporter', 'nats-exporter', 'elasticsearch-exporter', 'nginx-exporter', 'apache-exporter', 'haproxy-exporter', 'php-fpm-exporter',
  'pgbouncer-exporter', 'jmx-exporter', 'statsd-exporter', 'process-exporter', 'blackbox-exporter', 'dcgm-exporter', 'metrics-exporter', 'prometheus-exporter',
  'config-reloader', 'prometheus-config-reloader', 'rules-configmap-reloader', 'configmap-reload', 'configmap-reload-*', 'thanos-sidecar',
  'k8s-sidecar', 'grafana-sc-*', 'leader-elector', 'liveness-probe', 'csi-*-registrar', 'node-driver-registrar',
] // prettier-ignore

/** Ends of repositories of images, whole segments: `linkerd/proxy` is that of `cr.l5d.io/linkerd/proxy:edge-25.1.1`. */
const images = [
  'istio/proxyv2', 'proxyv2', 'linkerd/proxy', 'linkerd/debug', 'consul-dataplane', 'consul-k8s-control-plane', 'kuma-dp', 'aws-appmesh-envoy', 'daprio/daprd', 'daprd',
  'nginx-mesh-sidecar', 'spiffe-helper', 'vault-env', 'azwi-proxy', 'workload-identity/proxy', 'cloud-sql-proxy', 'cloudsql-docker/gce-proxy', 'alloydb-auth-proxy',
  'gcs-fuse-csi-driver-sidecar-mounter', 'tailscale/tailscale', 'oauth2-proxy', 'kube-rbac-proxy', 'knative.dev/serving/cmd/queue', 'serving/cmd/queue',
  'kserve/agent', 'kserve/router', 'argoexec', 'file-metrics-collector', 'tfevent-metrics-collector', 'gitlab-runner-helper', 'git-sync', 'flyteplugins/flytecopilot',
  'flytecopilot', 'tektoncd/pipeline/cmd/sidecarlogresults', 'fluent/fluent-bit', 'fluent-bit', 'fluent/fluentd', 'fluentd', 'filebeat', 'promtail', 'aws-for-fluent-bit',
  'opentelemetry-collector', 'opentelemetry-collector-contrib', 'opentelemetry-collector-k8s', 'aws-otel-collector', 'jaeger-agent', 'datadog/agent', 'gcr.io/datadoghq/agent', 'cloudwatch-agent',
  'aws-xray-daemon', 'telegraf', 'grafana/agent', 'grafana/alloy', 'splunk-otel-collector', 'prometheus-config-reloader', 'configmap-reload', 'kiwigrid/k8s-sidecar',
] // prettier-ignore

/** Names that applications have, too: a helper's in pods that the framework labels. */
const namesByLabel = [
  { name: /^svc-\d+$/, label: 'job.runner.gitlab.com/pod' },
  { name: /^sidecar-/, label: 'tekton.dev/taskRun' },
  { name: /^autoscaler$/, label: 'ray.io/cluster' },
  { name: /^wait$/, label: 'workflows.argoproj.io/workflow' },
  { name: /^helper$/, label: 'job.runner.gitlab.com/pod' },
  { name: /^agent$/, label: 'serving.kserve.io/inferenceservice' },
  { name: /^(?:transformer-)?queue-proxy$/, label: 'serving.knative.dev/revision' },
]

type Labels = Readonly<Record<string, string>> | null | undefined

/** Of one configuration, by how they are looked up: most entries are whole names. */
type Known = { names: ReadonlySet<string>; patterns: readonly string[]; images: ReadonlySet<string> }

const knownByConfig = new WeakMap<Config['helpers'], Known>()

function knownOf(helpers: Config['helpers']): Known {
  const found = knownByConfig.get(helpers)
  if (found !== undefined) return found
  const all = [...names, ...helpers.names]
  const known = {
    names: new Set(all),
    patterns: all.filter((pattern) => pattern.includes('*')),
    images: new Set([...images, ...helpers.images]),
  }
  knownByConfig.set(helpers, known)
  return known
}

/** @param labels the pod's, for names that only one framework gives a helper */
export function isHelper({ name, image }: Container, labels: Labels, { helpers }: Config): boolean {
  const known = knownOf(helpers)
  return (
    known.names.has(name) ||
    known.patterns.some((pattern) => fits(pattern, name)) ||
    endsOf(repositoryOf(image ?? '')).some((end) => known.images.has(end)) ||
    namesByLabel.some((one) => one.name.test(name) && Object.hasOwn(labels ?? {}, one.label))
  )
}

/** Without tag and digest. A colon before the last slash is a port's. */
function repositoryOf(image: string): string {
  const [named = ''] = image.split('@', 1)
  const colon = named.lastIndexOf(':')
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named
}

/** Of `a/b/c`: itself, `b/c` and `c`. */
function endsOf(repository: string): string[] {
  const segments = repository.split('/')
  return segments.map((_, index) => segments.slice(index).join('/'))
}

function fits(pattern: string, name: string): boolean {
  const star = pattern.indexOf('*')
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)]
  return name.length >= head.length + tail.length && name.startsWith(head) && name.endsWith(tail)
}
