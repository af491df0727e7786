/** What the administrator decides about containers that fill their memory, and nodes that do. */
import type { ConfigReader } from './config-reader.ts'
import { parseQuantityBytes } from './quantity.ts'

export type MemoryConfig = Readonly<{
  /** How far a container may grow whose pod does not say; absent: four times the limit that it was created with. */
  maxBytes?: number
  /** Unix socket, as containers of the pod see it, of who resizes the pod's containers in place. */
  resizeSocket?: string
  /** `evictionHard: memory.available` of the nodes' kubelets; 0 where it is a share. */
  nodeEvictionBytes: number
  /** Of a node's capacity, in percent. */
  nodeEvictionPercent?: number
}>

/** The kubelet's own (pkg/kubelet/apis/config/v1beta1/defaults_linux.go). */
const defaultEvictionBytes = 100 * 1024 ** 2
const quantity = 'a quantity above 0, as a text, for example 16Gi'
const eviction = 'a quantity above 0 or a percentage between 0% and 100%, as a text, for example 500Mi or 5%'

export function readMemory(section: ConfigReader): MemoryConfig {
  const maxBytes = section.parsed('max', 0, quantity, readBytes)
  const resizeSocket = section.parsed('resizeSocket', '', 'an absolute path without ".."', readPath)
  return {
    ...(maxBytes === 0 ? {} : { maxBytes }),
    ...(resizeSocket === '' ? {} : { resizeSocket }),
    ...section.parsed('nodeEviction', { nodeEvictionBytes: defaultEvictionBytes }, eviction, readEviction),
  }
}

/** As the kubelet reads it (pkg/kubelet/eviction/helpers.go, parseThresholdStatement); what it takes for "never", 0% and 100%, is refused. */
function readEviction(
  text: string,
): Pick<MemoryConfig, 'nodeEvictionBytes' | 'nodeEvictionPercent'> | undefined {
  const [, share] = /^(\d{1,2}(?:\.\d{1,6})?)%$/.exec(text) ?? []
  if (share !== undefined)
    return Number(share) > 0 ? { nodeEvictionBytes: 0, nodeEvictionPercent: Number(share) } : undefined
  const bytes = readBytes(text)
  return bytes === undefined ? undefined : { nodeEvictionBytes: bytes }
}

function readBytes(text: string): number | undefined {
  const bytes = parseQuantityBytes(text)
  return bytes === 0 ? undefined : bytes
}

function readPath(text: string): string | undefined {
  return /^\/[^\s]+$/.test(text) && !text.split('/').includes('..') ? text : undefined
}
