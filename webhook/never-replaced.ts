/**
 * Pods that nobody replaces under the same name: what did their work is repeated by a pod of another name, and so of another lineage. Their checkpoints
 * would wait in the store for nobody. Known by the marks of what makes them, or by a name that was made up for one pod. Pure.
 */
import { isMadeUp } from '../src/lineage.ts'
import { at } from './json-path.ts'
import type { Pod } from './pod.ts'

type Mark = {
  maker: string
  /** Labels or annotations, any of which is enough: a key, or a key with its value. None: the controller is enough. */
  marks: readonly (string | readonly [key: string, value: string])[]
  /** The kind of the controller of its pods, which makes no second one of that name. Without it, the pods have none. */
  owner?: string
}

const makers: readonly Mark[] = [
  // A retried task is a new pod: https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
  { maker: 'Airflow', marks: ['airflow-worker', 'kubernetes_executor', ['kubernetes_pod_operator', 'True'], 'airflow_version', 'airflow_kpo_in_cluster'] }, // prettier-ignore
  // https://docs.gitlab.com/runner/executors/kubernetes/
  { maker: 'GitLab Runner', marks: ['job.runner.gitlab.com/pod', 'job.runner.gitlab.com/id'] },
  // An executor's number is used once: https://spark.apache.org/docs/latest/running-on-kubernetes.html
  { maker: 'Spark', marks: [['spark-role', 'executor'], 'spark-exec-id'], owner: 'Pod' },
  // A retry is a node of its own: https://argo-workflows.readthedocs.io/en/latest/retries/
  { maker: 'Argo Workflows', marks: ['workflows.argoproj.io/workflow', 'workflows.argoproj.io/node-name'], owner: 'Workflow' }, // prettier-ignore
  // https://tekton.dev/docs/pipelines/taskruns/#specifying-retries
  { maker: 'Tekton', marks: ['tekton.dev/taskRun'], owner: 'TaskRun' },
  // https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/plugins/k8s/pod/plugin.go
  { maker: 'Flyte', marks: [], owner: 'flyteworkflow' },
  // https://www.nextflow.io/docs/latest/kubernetes.html
  { maker: 'Nextflow', marks: ['nextflow.io/processName', ['nextflow.io/app', 'nextflow']] },
  // https://plugins.jenkins.io/kubernetes/
  { maker: 'Jenkins', marks: ['jenkins/label', ['jenkins', 'slave'], ['jenkins', 'agent']] },
  // https://docs.drone.io/runner/kubernetes/overview/
  { maker: 'Drone', marks: ['io.drone.name', 'io.drone'] },
  // https://woodpecker-ci.org/docs/administration/configuration/backends/kubernetes
  { maker: 'Woodpecker', marks: ['woodpecker-ci.org/step', 'woodpecker-ci.org/task-uuid'] },
  // https://jupyter-enterprise-gateway.readthedocs.io/en/latest/operators/deploy-kubernetes.html
  { maker: 'Jupyter Enterprise Gateway', marks: ['kernel_id'] },
]

/** Parts of a name that a program made up for this one pod. */
const uniqueParts =
  /(?:^|[-.])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,40})(?:$|[-.])/

/**
 * Undefined for a pod that may be replaced under its name.
 * @param key `reprieve.dev/key`: its owner says that the next pod has it, too
 */
export function whyNeverReplaced({ metadata }: Pod, key: string | undefined): string | undefined {
  if (key !== undefined) return undefined
  const { labels, annotations, name, generateName } = metadata
  const controller = (metadata.ownerReferences ?? []).find((reference) => reference.controller === true)
  const bears = (key: string, value?: string) =>
    [at(labels, key), at(annotations, key)].some(
      (one) => one !== undefined && (value === undefined || one === value),
    )
  // Of pods that a framework makes, some have its controller and some none.
  const maker = makers.find(({ marks, owner }) =>
    marks.length === 0
      ? controller?.kind === owner
      : (controller === undefined || controller.kind === owner) &&
        marks.some((mark) => (typeof mark === 'string' ? bears(mark) : bears(...mark))),
  )
  if (maker !== undefined) return `${maker.maker} makes no second pod of the same name`
  if (controller !== undefined) return undefined
  if (name && isMadeUp(name, generateName ?? undefined))
    return 'its name was generated, and no controller owns it'
  return name && uniqueParts.test(name)
    ? `its name ${JSON.stringify(name)} seems to be made for one pod, and no controller owns it`
    : undefined
}

export const notReplacedRemedy =
  'its checkpoints help only containers that restart in the same pod. If a pod of another name continues its work, give both the same reprieve.dev/key'
