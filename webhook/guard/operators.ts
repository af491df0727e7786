/**
 * Who may exec into the sidecar without being in one of the allowed groups: whoever the cluster's own authorization gives the verb `exec` on
 * `sidecars` of `reprieve.dev` in the pod's namespace. There is no such object; the right alone counts (manifests/base/operator.yaml).
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
 */
import { describeError } from '../../src/errors.ts'
import type { KubeApi } from '../../src/kube-api.ts'
import type { EventLog } from '../../src/log.ts'
import { at } from '../json-path.ts'
import type { AdmissionRequest } from '../review.ts'
import { withinDeadline } from '../within-deadline.ts'

// @deadline The API server does not say who is an operator | Denied
const answerDeadlineMs = 3_000

/** Anything but a clear yes is a no. */
export async function isOperator(
  { userInfo, namespace, name }: AdmissionRequest,
  api: KubeApi | undefined,
  log: EventLog,
): Promise<boolean> {
  if (api === undefined || !userInfo?.username || !namespace || !name) return false
  const { username: user, groups, uid, extra } = userInfo
  const resourceAttributes = { namespace, verb: 'exec', group: 'reprieve.dev', resource: 'sidecars', name }
  const spec = { user, groups: groups ?? [], uid, extra, resourceAttributes }
  const ask = async () => {
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
    const answer = await api('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', body)
    if (answer.status !== 201) throw new Error(`the API server answers ${answer.status}`)
    return at(answer.body, 'status', 'allowed') === true && at(answer.body, 'status', 'denied') !== true
  }
  try {
    const answer = await withinDeadline(answerDeadlineMs, ask, () => undefined)
    if (answer === undefined) throw new Error('the API server did not answer in time')
    return answer
  } catch (error) {
    log.error(
      { event: 'guard.unauthorized', user, error: describeError(error) },
      'could not ask whether a person is an operator',
    )
    return false
  }
}
