/** The programs that the demo can run, each deterministic: the same steps give the same weights, to the bit. */
import type { Image } from '../test/harness/image.ts'
import { pythonImage, torchImage } from '../test/images/debian.ts'

export type Workload = {
  name: string
  /** For the story. */
  what: string
  program: string
  image: () => Promise<Image>
  steps: number
  stepMs: number
  /** The node runs out of memory once the program has printed this step. */
  evictAfter: number
}

const workloads: Workload[] = [
  {
    name: 'numpy',
    what: 'a neural network in numpy, two worker processes that fill shared memory with batches',
    program: 'train_numpy.py',
    image: pythonImage,
    steps: 160,
    stepMs: 50,
    evictAfter: 70,
  },
  {
    name: 'torch',
    what: 'a multilayer perceptron in PyTorch, a DataLoader with two persistent workers',
    program: 'train_torch.py',
    image: torchImage,
    steps: 100,
    stepMs: 50,
    evictAfter: 40,
  },
]

/** @throws Error that names the workloads there are */
export function findWorkload(name: string): Workload {
  const found = workloads.find((workload) => workload.name === name)
  if (found === undefined)
    throw new Error(
      `WORKLOAD is ${JSON.stringify(name)}; it must be one of ${workloads.map(({ name }) => name).join(', ')}`,
    )
  return found
}
