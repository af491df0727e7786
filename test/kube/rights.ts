/** Who may do what: the rules of RBAC, then ValidatingAdmissionPolicies, both as the manifests have them. */
import { Environment } from '@marcbachmann/cel-js'
import type { KubeObject } from './objects.ts'

/** As the API server has them: optional fields since 1.29. */
const cel = new Environment({ enableOptionalTypes: true, unlistedVariablesAreDyn: true })

/** `node`: the one that the token is bound to (authentication.kubernetes.io/node-name). */
export type Account = { name: string; node: string | undefined }
export type Attributes = {
  verb: string
  group: string
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

/** @returns why RBAC forbids it */
export function rbacRefusal({ rules }: Rights, account: Account, asked: Attributes): string | undefined {
  const { verb, group, name } = asked
  const full = fullName(asked)
  const allows = (rule: Rule) =>
    rule.apiGroups.includes(group) &&
    rule.resources.includes(full) &&
    rule.verbs.includes(verb) &&
    (rule.resourceNames === undefined || rule.resourceNames.includes(name ?? ''))
  if ((rules.get(account.name) ?? []).some(allows)) return undefined
  return `User "${account.name}" cannot ${verb} resource "${full}"`
}

/** @returns why it is forbidden, by RBAC or by a policy */
export function judge(
  rights: Rights,
  account: Account,
  asked: Attributes,
  { object, before }: { object: KubeObject | undefined; before: KubeObject | undefined },
): string | undefined {
  const forbidden = rbacRefusal(rights, account, asked)
  if (forbidden !== undefined) return forbidden
  const { verb, group } = asked
  const operation = { create: 'CREATE', update: 'UPDATE', patch: 'UPDATE', delete: 'DELETE' }[verb]
  if (operation === undefined) return undefined
  for (const policy of rights.policies) {
    const refusal = refusalBy(policy, { account, operation, group, full: fullName(asked), object, before })
    if (refusal !== undefined)
      return `ValidatingAdmissionPolicy '${policy.metadata.name}' denied request: ${refusal}`
  }
  return undefined
}

function fullName({ resource, subresource }: Attributes): string {
  return subresource === undefined ? resource : `${resource}/${subresource}`
}

type Request = { account: Account; operation: string; group: string; full: string; object: KubeObject | undefined; before: KubeObject | undefined } // prettier-ignore

function refusalBy(
  { spec }: Policy,
  { account, operation, group, full, object, before }: Request,
): string | undefined {
  const isMeant = spec.matchConstraints.resourceRules.some(
    ({ apiGroups, resources, operations }) =>
      apiGroups.includes(group) && resources.includes(full) && operations.includes(operation),
  )
  if (!isMeant) return undefined
  const extra = account.node === undefined ? {} : { 'authentication.kubernetes.io/node-name': [account.node] }
  const context: Record<string, unknown> = {
    request: { userInfo: { username: account.name, extra }, operation },
    object,
    oldObject: before ?? null,
    variables: {},
  }
  const holds = (expression: string) => cel.evaluate(expression, context) === true
  if (!(spec.matchConditions ?? []).every(({ expression }) => holds(expression))) return undefined
  for (const { name, expression } of spec.variables ?? [])
    context.variables = { ...(context.variables as object), [name]: cel.evaluate(expression, context) }
  return spec.validations.find(({ expression }) => !holds(expression))?.message
}
