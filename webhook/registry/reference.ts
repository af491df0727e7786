/**
 * An image's reference, read as the container runtimes read it.
 * https://github.com/distribution/reference (grammar), normalize.go (what `ubuntu` stands for)
 */
export type ImageReference = {
  /** As it is named: `docker.io`, `registry.example.com:5000`. */
  domain: string
  /** `library/ubuntu`. */
  repository: string
  /** The name of the manifest in a request: `sha256:…` where the reference has a digest, else its tag, else `latest`. */
  target: string
  byDigest: boolean
}

/** Domain, repository, tag and digest at their longest. The API server sets no bound. */
const longestText = 700
const longestRepository = 255

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const repositoryForm = new RegExp(`^${component}(?:/${component})*$`)
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const domainForm = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[0-9A-Fa-f:]+\\])(?::[0-9]{1,5})?$`)
const tagForm = /^\w[\w.-]{0,127}$/
/** Other algorithms are in the grammar, but in no known registry. */
export const digestForm = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** Undefined if the text is no reference. */
export function parseReference(text: string): ImageReference | undefined {
  if (text.length > longestText) return undefined
  const [named = '', digest, ...more] = text.split('@')
  if (more.length > 0 || (digest !== undefined && !digestForm.test(digest))) return undefined
  const colon = named.lastIndexOf(':')
  // A colon before the last slash is the port's.
  const tag = colon > named.lastIndexOf('/') ? named.slice(colon + 1) : undefined
  if (tag !== undefined && !tagForm.test(tag)) return undefined
  const { domain, repository } = split(tag === undefined ? named : named.slice(0, colon))
  if (!domainForm.test(domain) || repository.length > longestRepository || !repositoryForm.test(repository))
    return undefined
  return { domain, repository, target: digest ?? tag ?? 'latest', byDigest: digest !== undefined }
}

/** The first part is a domain if it looks like one; `localhost` is, and so is what has capitals, which no repository has. */
function split(name: string): { domain: string; repository: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isDomain = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const domain = !isDomain || first === 'index.docker.io' ? defaultDomain : first
  const repository = isDomain ? name.slice(slash + 1) : name
  return {
    domain,
    repository: domain === defaultDomain && !repository.includes('/') ? `library/${repository}` : repository,
  }
}

export const defaultDomain = 'docker.io'

/** The host that answers for a domain: the default one's name is a website. */
export function apiHostOf(domain: string): string {
  return domain === defaultDomain ? 'registry-1.docker.io' : domain
}
