/**
 * The pod harness: a small kubelet on runc. It takes a Pod manifest as the API server would hand it to a node (after
 * admission) and runs it for real: namespaces, cgroups, users, capabilities, seccomp, volumes, hooks, probes, restarts.
 *
 *   const node = await Node.create()                          // a node of its own: folders, cgroup, runc state
 *   const pod = await node.run(manifest, { images, claims, configMaps, secrets })
 *   await pod.waitForLog('app', /step 10/)                    // LogLine { text, timeMs, stream, attempt }
 *   pod.logs('app'); pod.logLines('app'); pod.status(); pod.events
 *   await pod.waitFor('app restarted', (status) => status.containerStatuses[0]?.restartCount === 1)
 *   await pod.waitUntilReady(); await pod.waitUntilEnded()
 *   await pod.exec('app', ['ls', '/'])                        // { code, stdout, stderr, timedOut }
 *   pod.killContainer('app', 'SIGKILL'); pod.pidOf('app'); pod.podPid
 *   pod.container('app').processes()                          // host pids in its cgroup
 *   pod.container('app').writableLayer; pod.volumeFolder('data')   // host folders; gone once the pod has ended
 *   await pod.delete(); await pod.evict({ gracePeriodSeconds: 10 }); await pod.crash()
 *   await node.destroy()                                      // whatever still runs is killed; nothing is left
 *
 * `images` maps what a container says in `image:` to { layers, config } (image.ts; ready-made ones: test/images/).
 * A test says `t.teardown(() => node.destroy())`. Should the test process die, every shim kills its container.
 *
 * Known deviations from a kubelet with containerd, beside what `refuse.ts` refuses:
 * - no rlimits, and no oom_score_adj: lowering either needs CAP_SYS_RESOURCE, which a test machine may lack;
 * - capabilities that this process does not have are left out, with an event `Deviation` in `pod.events`;
 * - a pod is not refused for what it requests; only a resize is (resize.ts);
 * - no limit on the pod's own cgroup, only on the containers'; no AppArmor or SELinux;
 * - CrashLoopBackOff's seconds are shortened by `backoffScale` (default: 10 s last 100 ms);
 * - a pod's volumes and writable layers go as soon as it has ended; its logs stay until the node is destroyed;
 * - a dead pause process is not replaced; projected tokens are a fixed text; resolv.conf names no server.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { removeCgroup } from './cgroup.ts'
import type { Images } from './image.ts'
import type { PodManifest } from './manifest.ts'
import { nativePrograms } from './native.ts'
import { Pod } from './pod.ts'
import { refuseUnknown } from './refuse.ts'
import { Allocations } from './resize.ts'
import { Runc } from './runc.ts'
import { claimNode, nodesRoot, sweepDeadNodes } from './sweep.ts'
import type { VolumeSources } from './volumes.ts'

export type NodeOptions = {
  /** Where the node keeps everything; a new folder by default. Not on an overlay file system. */
  dir?: string
  name?: string
  /** The kubelet's `seccompDefault`; off by default, as the kubelet's. */
  seccompDefault?: boolean
  /** By how much CrashLoopBackOff's waits are multiplied; 1 is the kubelet's pace. */
  backoffScale?: number
  /** What pods may request of its memory together; all that the machine has unless it is given. Only resizes are held to it. */
  allocatableBytes?: number
}

export type RunOptions = VolumeSources & { images: Images }

export class Node {
  readonly dir: string
  readonly name: string
  readonly pods: Pod[] = []
  readonly #id: string
  readonly #options: NodeOptions
  readonly #programs: { shim: string; pause: string }
  readonly #allocations: Allocations

  private constructor(id: string, options: NodeOptions, programs: { shim: string; pause: string }) {
    this.#id = id
    this.#options = options
    this.#programs = programs
    this.#allocations = new Allocations(options.allocatableBytes)
    this.name = options.name ?? `node-${id}`
    this.dir = options.dir ?? join(nodesRoot, id)
  }

  static async create(options: NodeOptions = {}): Promise<Node> {
    await sweepDeadNodes()
    const node = new Node(randomBytes(4).toString('hex'), options, await nativePrograms())
    claimNode(node.#id)
    mkdirSync(node.dir, { recursive: true })
    return node
  }

  get cgroupParent(): string {
    return `/reprieve-harness-${this.#id}`
  }

  /** Starts the pod; resolves once its sandbox stands. @throws Error for what the harness cannot run */
  async run(manifest: PodManifest, options: RunOptions): Promise<Pod> {
    refuseUnknown(manifest)
    const { metadata, spec } = structuredClone(manifest)
    const uid = metadata.uid ?? randomUUID()
    const name = metadata.name ?? `${metadata.generateName ?? 'pod-'}${uid.slice(0, 5)}`
    this.#allocations.add(uid, spec)
    const pod = await Pod.start({
      manifest: { metadata, spec },
      identity: {
        name,
        namespace: metadata.namespace ?? 'default',
        uid,
        nodeName: this.name,
        hostname: (spec.hostname ?? name).slice(0, 63).replace(/[-.]+$/, ''), // pkg/kubelet/util: truncatePodHostnameIfNeeded
        labels: metadata.labels ?? {},
        annotations: metadata.annotations ?? {},
        serviceAccountName: spec.serviceAccountName ?? 'default',
      },
      nodeDir: this.dir,
      cgroupParent: this.cgroupParent,
      images: options.images,
      sources: options,
      runc: new Runc(this.dir),
      programs: this.#programs,
      allocations: this.#allocations,
      backoffScale: this.#options.backoffScale ?? 0.01,
      seccompDefault: this.#options.seccompDefault ?? false,
    }).catch(async (error: unknown) => {
      await this.#allocations.remove(uid)
      throw error
    })
    void pod.ended.then(() => this.#allocations.remove(uid))
    this.pods.push(pod)
    return pod
  }

  /** Ends what still runs, as a power cut would, and removes every trace of the node. */
  async destroy(): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod.crash()))
    await removeCgroup(this.cgroupParent)
    rmSync(this.dir, { recursive: true, force: true })
    rmSync(join(nodesRoot, this.#id), { recursive: true, force: true })
  }
}
