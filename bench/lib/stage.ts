/**
 * What the benchmarks run on: one node of the pod harness, a store beside it on the same file system, and a program that
 * holds memory and shows that it lives (programs/hold.c), admitted by the webhook's own code.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig, type Config } from '../../src/config.ts'
import { application, podOf } from '../../test/e2e/support.ts'
import { compile } from '../../test/harness/native.ts'
import type { Images } from '../../test/harness/image.ts'
import type { PodManifest } from '../../test/harness/manifest.ts'
import { Node } from '../../test/harness/node.ts'
import type { Pod } from '../../test/harness/pod.ts'
import { busyboxImage } from '../../test/images/busybox.ts'
import { reprieveImage } from '../../test/images/reprieve.ts'
import { inject } from '../../test/webhook/patched-pod.ts'
import type { Pod as AdmittedPod } from '../../webhook/pod.ts'
import { changingFiles, makeFiles } from './many-files.ts'
import { clearAtEnd } from './report.ts'

export { application, askControl, restorer, sidecar, statusOf } from '../../test/e2e/support.ts'

export const program = '/app/hold'
/** The program's line of life. Short enough that a gap is known to a few milliseconds, long enough not to weigh. */
export const beatMs = 2
const namespace = 'bench'
const reprieve = 'reprieve:bench'
/** Filling memory takes about a second a GiB here, ten times that on a machine that has never touched it. */
const startDeadlineMs = 180_000

/** `image`: of those with many files, of which the program then changes a thousand. */
export type RunOptions = { debug?: boolean; image?: string }

export class Stage {
  /** A folder on the disk that the node and the store lie on, too. */
  readonly folder: string
  readonly #node: Node
  readonly #images: Images
  readonly #config: Config

  private constructor(folder: string, node: Node, images: Images, config: Config) {
    this.folder = folder
    this.#node = node
    this.#images = images
    this.#config = config
  }

  /** @param filesByImage images of the same program with so many files beside it */
  static async open(filesByImage: Record<string, number> = {}): Promise<Stage> {
    // Not in /tmp: that may be a tmpfs, and a store is a disk.
    const folder = mkdtempSync('/var/tmp/reprieve-bench-')
    try {
      const [busybox, image] = [await busyboxImage(), await reprieveImage()]
      const layer = join(folder, 'programs')
      mkdirSync(join(layer, 'app'), { recursive: true })
      copyFileSync(await holdProgram(), join(layer, program))
      chmodSync(join(layer, program), 0o755)
      const app = { layers: [...busybox.layers, layer], config: busybox.config }
      const images: Images = { app, [reprieve]: image }
      for (const [name, files] of Object.entries(filesByImage)) {
        makeFiles(join(folder, name), files)
        images[name] = { ...app, layers: [...app.layers, join(folder, name)] }
      }
      const config = parseConfig(configText(join(folder, 'store')), join(folder, 'webhook.yaml'))
      const stage = new Stage(folder, await Node.create(), images, config)
      clearAtEnd(() => stage.close())
      return stage
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** A pod of the one lineage `key`, protected; its sidecar writes every event with `debug`. */
  async run(key: string, mebibytes: number, options: RunOptions = {}): Promise<Pod> {
    const hold = [program, String(mebibytes), String(beatMs)]
    const { image = 'app' } = options
    const command = image === 'app' ? hold : changingFiles(hold)
    const pod = podOf({ image, command, annotations: { key, keep: '1' } })
    pod.metadata.namespace = namespace
    const injection = inject(pod as AdmittedPod, this.#config, 'pod', namespace)
    if (injection === undefined) throw new Error('the webhook did not inject the pod')
    const admitted = injection.after as PodManifest
    if (options.debug === true)
      for (const container of admitted.spec.initContainers ?? [])
        container.env = [...(container.env ?? []), { name: 'REPRIEVE_LOG_LEVEL', value: 'debug' }]
    return this.#node.run(admitted, { images: this.#images })
  }

  /** Starts one and waits until it beats. */
  async runToFirstBeat(key: string, mebibytes: number, options: RunOptions = {}): Promise<Pod> {
    const pod = await this.run(key, mebibytes, options)
    await pod.waitForLog(application, /^beat /, { deadlineMs: startDeadlineMs })
    return pod
  }

  async close(): Promise<void> {
    await this.#node.destroy()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** The host's path of the compiled program. */
export function holdProgram(): Promise<string> {
  return compile(join(import.meta.dirname, '../programs/hold.c'))
}

function configText(storeFolder: string): string {
  return `image: ${reprieve}
imagePullPolicy: Never
stores: { default: { hostPath: { path: ${storeFolder}, type: DirectoryOrCreate } } }
statusPort: 9464
checkpointBudget: 600s
`
}
