/** What a real API server says of every manifest: server-side dry runs, which validate and go through admission, and leave nothing. */
import { strict as assert } from 'node:assert'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { components, installable, manifests, objectsIn, rendered } from '../manifests/rendered.ts'
import { isCustom } from '../manifests/schemas.ts'
import { applyInDryRun, type Kubectl } from './kubectl.ts'
import { userNamespace } from './workloads.ts'

/**
 * Every installation with every choice, as somebody would apply it over what is installed. Kinds of others are left out where the cluster does not
 * have them.
 */
export async function assertManifests(kubectl: Kubectl, say: (line: string) => void): Promise<void> {
  const groups = await kubectl('api-versions')
  const known = (apiVersion: string) => groups.split('\n').includes(apiVersion)
  for (const folder of installable)
    for (const added of [[], ...components.map((component) => [component])]) {
      const objects = await rendered(folder, added)
      const taken = objects.filter((object) => !isCustom(object) || known(object.apiVersion))
      await applyInDryRun(taken)
      const left = objects.length - taken.length
      say(
        `  ${[folder, ...added].join(' with ')}: ${taken.length} objects${left > 0 ? `, ${left} of kinds that are not there` : ''}`,
      )
    }
}

/** They ask for nothing that the cluster must have, so it is only asked whether it would take them. */
export async function assertExamples(say: (line: string) => void): Promise<void> {
  for (const file of readdirSync(join(manifests, 'examples'))) {
    const answer = await applyInDryRun(objectsIn(`examples/${file}`), `--namespace=${userNamespace}`)
    assert.match(answer, /serverside-applied/, `${file}: ${answer}`)
    say(`  ${file}: ${answer.trim()}`)
  }
}
