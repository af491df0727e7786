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

export class Stage {
  readonly workload: Workload
  readonly webhook: WebhookProcess
  readonly storeFolder: string
  readonly #folder: string
  readonly #node: Node
  readonly #images: Images
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

  static async set(workload: Workload): Promise<Stage> {
    // Not in /tmp: that may be a tmpfs, and a store is a disk.
    const folder = mkdtempSync('/var/tmp/reprieve-demo-')
    const undo: (() => Promise<void>)[] = []
    try {
      const application = await workload.image()
      const reprieve = await reprieveImage()
      const programs = join(folder, 'image')
      mkdirSync(join(programs, 'app'), { recursive: true })
      copyFileSync(
        join(import.meta.dirname, '../test/programs', workload.program),
        join(programs, 'app/train.py'),
      )
      const images = {
        trainer: { layers: [...application.layers, programs], config: application.config },
        [reprieveReference]: reprieve,
      }
      const webhook = await WebhookProcess.start(folder, join(folder, 'store'))
      undo.push(() => webhook.stop())
      const node = await Node.create()
      return new Stage({ workload, webhook, folder, node, images })
    } catch (error) {
      for (const step of undo) await step()
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Starts a pod. @throws Error once the stage has been cleared */
  async run(manifest: PodManifest): Promise<Pod> {
    if (this.#struck) throw new Error('the demo has ended')
    return this.#node.run(manifest, {
      images: this.#images,
      configMaps: { 'kube-root-ca.crt': { 'ca.crt': 'of no use to this program\n' } },
    })
  }

  /** Ends every process, and removes every file, mount and cgroup. Can be repeated. */
  async strike(): Promise<void> {
    this.#struck = true
    await Promise.all([this.webhook.stop(), this.#node.destroy()])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
