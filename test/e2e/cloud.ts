/**
 * A cloud around the harness: metadata services answer on a link-local address of the machine's loopback interface, which a pod
 * reaches by way of its node, as it does on a real cloud. What they announce is the test's to say.
 */
import { randomInt } from 'node:crypto'
import type { Test } from 'tap'
import { must, run } from '../../scripts/command.ts'
import type { MetadataServer } from '../sidecar/triggers/clouds/metadata-server.ts'

/** @returns the lines of the webhook's configuration that name it */
export async function openCloud(
  t: Test,
  name: 'aws' | 'gcp' | 'azure',
  server: MetadataServer,
): Promise<string> {
  // Not the clouds' own: the machine that runs the tests may be in one.
  const address = `169.254.${randomInt(16, 250)}.${randomInt(1, 255)}`
  await must(['ip', 'addr', 'add', `${address}/32`, 'dev', 'lo'])
  t.teardown(() => run(['ip', 'addr', 'del', `${address}/32`, 'dev', 'lo']))
  await server.listen(0, address)
  t.teardown(() => server.close())
  return `cloud: ${name}\ncloudEndpoint: http://${address}:${server.endpoint.port}\n`
}
