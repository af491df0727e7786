/** Everything that the story is played on, and how it is cleared away, whatever happened. */
import { mkdtempSync, mkdirSync, rmSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Images } from '../test/harness/image.ts'
import type { PodManifest } from '../test/harness/manifest.ts'
import { Node } from '../test/harness/node.ts'
import type { Pod } from '../test/harness/pod.ts'
import { reprieveImage } from '../test/images/reprieve.ts'
import { reprieveReference, WebhookProcess } from './webhook-process.ts'
import type { Workload } from './workloads.ts'

const programs = join(import.meta.dirname, '../test/programs')

export class Stage {
  readonly workload: Workload
  readonly webhook: WebhookProcess
  readonly storeFolder: string
  readonly #folder: string
  readonly #node: Node
  readonly #images: Images
  readonly #starting: Promise<Pod>[] = []
  #struck = false

  private constructor(parts: {
    workload: Workload
    webhook: WebhookProcess
    folder: string
    node: Node
    images: Images
  }) {
    this.workload = parts.workload
    this.webhook = parts.webhook
    this.storeFolder = join(parts.folder, 'store')
    this.#folder = parts.folder
    this.#node = parts.node
    this.#images = parts.images
  }

  /** @param signal what takes long is done before anything is there that would have to be cleared away */
  static async set(workload: Workload, signal: AbortSignal): Promise<Stage> {
    const [application, reprieve] = await Promise.all([workload.image(), reprieveImage()])
    signal.throwIfAborted()
    // Not in /tmp: that may be a tmpfs, and a store is a disk.
    const folder = mkdtempSync('/var/tmp/reprieve-demo-')
    let webhook: WebhookProcess | undefined
    try {
      const program = join(folder, 'image')
      mkdirSync(join(program, 'app'), { recursive: true })
      copyFileSync(join(programs, workload.program), join(program, 'app/train.py'))
      const images = {
        trainer: { layers: [...application.layers, program], config: application.config },
        [reprieveReference]: reprieve,
      }
      webhook = await WebhookProcess.start(folder, join(folder, 'store'))
      return new Stage({ workload, webhook, folder, images, node: await Node.create() })
    } catch (error) {
      await webhook?.stop()
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Starts a pod. @throws Error once the stage has been cleared */
  async run(manifest: PodManifest): Promise<Pod> {
    if (this.#struck) throw new Error('the demo has ended')
    const starting = this.#node.run(manifest, {
      images: this.#images,
      configMaps: { 'kube-root-ca.crt': { 'ca.crt': 'of no use to this program\n' } },
    })
    this.#starting.push(starting)
    return starting
  }

  /** Ends every process, and removes every file, mount and cgroup. Can be repeated. */
  async strike(): Promise<void> {
    this.#struck = true
    // A pod that is half way into being would escape.
    await Promise.allSettled(this.#starting)
    await Promise.all([this.webhook.stop(), this.#node.destroy()])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
