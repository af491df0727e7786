/** The servers that JupyterHub's KubeSpawner makes for its users: what a new pod differs in, and what its owner should know. Pure. */
import { at, listAt } from './json-path.ts'
import { matches } from './name-patterns.ts'
import type { Container, Pod } from './pod.ts'

/** https://z2jh.jupyter.org/en/stable/ https://jupyterhub-kubespawner.readthedocs.io/en/latest/spawner.html */
export function isSpawned({ metadata: { labels, annotations } }: Pod): boolean {
  return (
    at(labels, 'component') === 'singleuser-server' ||
    at(annotations, 'hub.jupyter.org/username') !== undefined
  )
}

/** The spawner tells a server its resources (jupyterhub/spawner.py, get_env): more of them are no other work. */
export const resourceVariables = ['MEM_LIMIT', 'MEM_GUARANTEE', 'CPU_LIMIT', 'CPU_GUARANTEE']

const tokenVariable = 'JUPYTERHUB_API_TOKEN'

export function spawnerWarnings(
  pod: Pod,
  containers: readonly Container[],
  withoutEnv: readonly string[],
): string[] {
  if (!isSpawned(pod)) return []
  const hasToken = containers.some((container) =>
    listAt(at(container, 'env')).some((variable) => at(variable, 'name') === tokenVariable),
  )
  return [
    // delete_grace_period
    "JupyterHub's KubeSpawner deletes its pods with a grace period of 1 s, in which no checkpoint is taken: set c.KubeSpawner.delete_grace_period to 180",
    // The hub revokes the token with the pod: a server that continued with the old one could let nobody in.
    ...(hasToken && !matches(tokenVariable, withoutEnv)
      ? [
          'JupyterHub gives each new pod another API token, and the server then starts from its beginning: have a pre_spawn_hook set spawner.api_token to a token that stays the same for each server',
        ]
      : []),
  ]
}
