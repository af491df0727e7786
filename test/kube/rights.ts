/** Who may do what: the rules of RBAC, then ValidatingAdmissionPolicies, both as the manifests have them. */
import { evaluate } from '@marcbachmann/cel-js'
import type { KubeObject } from './objects.ts'

/** `node`: the one that the token is bound to (authentication.kubernetes.io/node-name). */
export type Account = { name: string; node: string | undefined }
export type Attributes = {
  verb: string
  resource: string
  subresource: string | undefined
  namespace: string | undefined
  name: string | undefined
}

export type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }
type PolicySpec = {
  matchConstraints: { resourceRules: { apiGroups: string[]; resources: string[]; operations: string[] }[] }
  matchConditions?: { name: string; expression: string }[]
  variables?: { name: string; expression: string }[]
  validations: { expression: string; message?: string }[]
}
export type Policy = { metadata: { name: string }; spec: PolicySpec }
/** `rules`: by account. */
export type Rights = { rules: ReadonlyMap<string, readonly Rule[]>; policies: readonly Policy[] }

/** @returns why it is forbidden */
export function judge(
  rights: Rights,
  account: Account,
  asked: Attributes,
  object: KubeObject | undefined,
): string | undefined {
  // prettier-ignore
  const { verb, resource, subresource, name } = asked
  const full = subresource === undefined ? resource : `${resource}/${subresource}`
  const allows = (rule: Rule) =>
    rule.apiGroups.includes('') &&
    rule.resources.includes(full) &&
    rule.verbs.includes(verb) &&
    (rule.resourceNames === undefined || rule.resourceNames.includes(name ?? ''))
  if (!(rights.rules.get(account.name) ?? []).some(allows))
    return `User "${account.name}" cannot ${verb} resource "${full}"`
  const operation = { create: 'CREATE', update: 'UPDATE', patch: 'UPDATE', delete: 'DELETE' }[verb]
  if (operation === undefined) return undefined
  for (const policy of rights.policies) {
    const refusal = refusalBy(policy, { account, operation, full, object })
    if (refusal !== undefined)
      return `ValidatingAdmissionPolicy '${policy.metadata.name}' denied request: ${refusal}`
  }
  return undefined
}

type Request = { account: Account; operation: string; full: string; object: KubeObject | undefined }

function refusalBy({ spec }: Policy, { account, operation, full, object }: Request): string | undefined {
  const isMeant = spec.matchConstraints.resourceRules.some(
    ({ resources, operations }) => resources.includes(full) && operations.includes(operation),
  )
  if (!isMeant) return undefined
  const extra = account.node === undefined ? {} : { 'authentication.kubernetes.io/node-name': [account.node] }
  const context: Record<string, unknown> = {
    request: { userInfo: { username: account.name, extra }, operation },
    object,
    oldObject: object,
    variables: {},
  }
  const holds = (expression: string) => evaluate(expression, context) === true
  if (!(spec.matchConditions ?? []).every(({ expression }) => holds(expression))) return undefined
  for (const { name, expression } of spec.variables ?? [])
    context.variables = { ...(context.variables as object), [name]: evaluate(expression, context) }
  return spec.validations.find(({ expression }) => !holds(expression))?.message
}
