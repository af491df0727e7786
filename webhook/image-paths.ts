/** The paths in the image of the restore init container and the sidecar. */
export const imagePaths = {
  launcher: '/usr/local/lib/reprieve/launcher',
  node: '/usr/local/bin/node',
  restoreMain: '/opt/reprieve/sidecar/restore-main.js',
  sidecarMain: '/opt/reprieve/sidecar/main.js',
} as const

/** Where the store's volume is mounted in our containers; a directory store's path in the plan. */
export const storeMountPath = '/var/reprieve/store'

/** Names that injection takes in a pod. */
export const injectedNames = {
  restoreContainer: 'reprieve-restore',
  sidecarContainer: 'reprieve-sidecar',
  volume: 'reprieve',
  stagingVolume: 'reprieve-staging',
  storeVolume: 'reprieve-store',
  /** 15 characters at most (core/v1, ContainerPort.name). */
  metricsPort: 'reprieve',
} as const

/** No container or volume of the user's may begin with it. */
export const reservedNamePrefix = 'reprieve'

/**
 * For a process that waits all day in every protected pod: without V8's compilers it never touches 8 MB of its program, and with
 * one small nursery it keeps 2 MB less garbage (make bench-sidecar-memory). Without Node's start-up snapshot it starts 40 ms later and
 * does not keep 3 MB of it; its collector is called by the sidecar itself (sidecar/setup/idle-memory.ts). Its own work is native code
 * (CRIU, SHA-256). Not --jitless, which takes WebAssembly and with it `fetch`.
 */
export const sidecarNodeFlags = [
  '--no-opt',
  '--no-maglev',
  '--no-sparkplug',
  '--max-semi-space-size=1',
  '--v8-pool-size=1',
  '--no-node-snapshot',
  '--expose-gc',
] as const
