/** What the administrator decides about containers that fill their memory, and nodes that do. */
import type { ConfigReader } from './config-reader.ts'
import { parseQuantityBytes } from './quantity.ts'

export type MemoryConfig = Readonly<{
  /** How far a container may grow whose pod does not say; absent: four times the limit that it was created with. */
  maxBytes?: number
  /** Unix socket, as containers of the pod see it, of who resizes the pod's containers in place. */
  resizeSocket?: string
  /** `evictionHard: memory.available` of the nodes' kubelets. */
  nodeEvictionBytes: number
}>

/** The kubelet's own (pkg/kubelet/apis/config/v1beta1/defaults_linux.go). */
const defaultEvictionBytes = 100 * 1024 ** 2
const quantity = 'a quantity above 0, as a text, for example 16Gi'

export function readMemory(section: ConfigReader): MemoryConfig {
  const maxBytes = section.parsed('max', 0, quantity, readBytes)
  const resizeSocket = section.parsed('resizeSocket', '', 'an absolute path without ".."', readPath)
  return {
    ...(maxBytes === 0 ? {} : { maxBytes }),
    ...(resizeSocket === '' ? {} : { resizeSocket }),
    nodeEvictionBytes: section.parsed('nodeEviction', defaultEvictionBytes, quantity, readBytes),
  }
}

function readBytes(text: string): number | undefined {
  const bytes = parseQuantityBytes(text)
  return bytes === 0 ? undefined : bytes
}

function readPath(text: string): string | undefined {
  return /^\/[^\s]+$/.test(text) && !text.split('/').includes('..') ? text : undefined
}
