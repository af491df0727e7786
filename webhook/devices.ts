/**
 * Devices and huge pages of a protected container: CRIU cannot dump what it has open of them, and every checkpoint would fail after it has stopped
 * the application. Devices of its neighbours are of no matter. Pure.
 * https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
 * https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
 */
import { posix } from 'node:path'
import type { Config } from '../src/config.ts'
import { parseQuantityNanos } from '../src/quantity.ts'
import { volumeOf } from './container-volumes.ts'
import { at, listAt } from './json-path.ts'
import type { Obstacle } from './obstacles.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'

/** Extended resources that give a pod an address or a share of the processor, and no device. */
const withoutDevice = [
  'vpc.amazonaws.com/',
  'networking.gke.io.networks/',
  'tke.cloud.tencent.com/',
  'aliyun/eni',
  'aliyun/member-eni',
  'koordinator.sh/batch-',
  'koordinator.sh/mid-',
]

export function deviceObstacles(pod: Pod, container: Container, config: Config): Obstacle[] {
  const why = 'the state of a device is not part of a checkpoint'
  return devicesOf(pod, container, config).map((device) => ({
    reason: 'device',
    text: `container ${container.name} ${device}: ${why}`,
  }))
}

export function hugePageObstacles(pod: Pod, container: Container): Obstacle[] {
  const asked = amountsOf(container.resources).filter(isHugePages)
  const mounted = mountsOf(container).filter(({ name }) =>
    String(at(volumeOf(pod, { name }), 'emptyDir', 'medium') ?? '').startsWith('HugePages'),
  )
  const ofPod = isRecord(pod.spec.resources) ? amountsOf(pod.spec.resources).filter(isHugePages) : []
  const found = [
    ...[...new Set([...asked, ...ofPod])].map((name) => `container ${container.name} may use ${name}`),
    ...mounted.map(({ name }) => `container ${container.name} mounts the huge pages of volume ${name}`),
  ]
  return found.map((text) => ({ reason: 'huge-pages', text: `${text}, which CRIU does not restore` }))
}

function devicesOf(pod: Pod, container: Container, config: Config): string[] {
  const harmless = [...withoutDevice, ...config.resourcesWithoutDevice]
  const resources = amountsOf(container.resources).filter(
    (name) =>
      isExtended(name) &&
      !harmless.some((one) => name === one || (/[/-]$/.test(one) && name.startsWith(one))),
  )
  const claims = listAt(at(container.resources, 'claims')).map((claim) => String(at(claim, 'name') ?? ''))
  const blocks = listAt(at(container, 'volumeDevices')).map((device) => String(at(device, 'name') ?? ''))
  const files = mountsOf(container).filter((mount) => isDeviceFile(at(volumeOf(pod, mount), 'hostPath')))
  const visible = listAt(at(container, 'env')).findLast((one) => at(one, 'name') === 'NVIDIA_VISIBLE_DEVICES')
  const gpus = at(visible, 'value')
  return [
    ...resources.map((name) => `asks for ${name}`),
    ...claims.map((name) => `uses the resource claim ${name}`),
    ...blocks.map((name) => `opens the volume ${name} as a block device`),
    ...files.map(({ name }) => `mounts a device of its node by the volume ${name}`),
    ...(typeof gpus === 'string' && !/^(?:|none|void)$/.test(gpus.trim())
      ? [`sets NVIDIA_VISIBLE_DEVICES`]
      : []),
  ]
}

/** The names of what is asked for at all: of an amount above 0, as a request or as a limit. */
function amountsOf(resources: unknown): string[] {
  const lists = [at(resources, 'limits'), at(resources, 'requests')].filter(isRecord)
  const names = lists.flatMap((list) => Object.keys(list).filter((name) => isAbove0(list[name])))
  return [...new Set(names)]
}

function isAbove0(amount: unknown): boolean {
  if (typeof amount === 'number') return amount > 0
  return typeof amount === 'string' && (parseQuantityNanos(amount) ?? 0n) > 0n
}

/** As Kubernetes tells them apart (pkg/apis/core/v1/helper, IsExtendedResourceName): in a domain, which is not its own. */
function isExtended(name: string): boolean {
  return name.includes('/') && !/(?:^|\.)kubernetes\.io\//.test(name) && !name.startsWith('requests.')
}

function isHugePages(name: string): boolean {
  return name.startsWith('hugepages-')
}

/** Folders of /dev that hold no devices. */
const plainFolders = /^\/dev\/(?:shm|mqueue|log|hugepages)(?:\/|$)/

function isDeviceFile(hostPath: unknown): boolean {
  const [path, type] = [at(hostPath, 'path'), at(hostPath, 'type')]
  if (type === 'CharDevice' || type === 'BlockDevice') return true
  if (typeof path !== 'string' || !path.startsWith('/')) return false
  const real = posix.normalize(path).replace(/(?<=.)\/$/, '')
  return real === '/dev' || (real.startsWith('/dev/') && !plainFolders.test(real))
}

function mountsOf(container: Container): { name: string }[] {
  return container.volumeMounts ?? []
}
