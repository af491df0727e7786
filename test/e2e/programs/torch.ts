/** PyTorch: what loads its data by processes of its own, and what trains in several that talk to each other by TCP. */
import { told, type RealProgram } from './program.ts'

const packages = ['python3-torch']

/** Debian builds PyTorch without libuv, and the store of torch.distributed wants it unless it is told. */
const withoutLibuv = ['env', 'USE_LIBUV=0']

/** Each rank has data of its own; after each step all have the same parameters, or the program ends. */
const trains = `import hashlib, os, time
import torch
import torch.distributed as dist

def train(rank, ranks):
    dist.init_process_group('gloo', rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    own = torch.Generator().manual_seed(rank)
    turn = 0
    while True:
        turn += 1
        optimizer.zero_grad()
        model(torch.randn(32, 64, generator=own)).square().mean().backward()
        optimizer.step()
        digest = hashlib.sha256(b''.join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()
        said = [None] * ranks
        dist.all_gather_object(said, (turn, digest))
        assert said == [(turn, digest)] * ranks, said
        if rank == 0:
            with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
            os.rename('/tmp/turn.new', '/tmp/turn')
        time.sleep(0.1)
`

export const torchLoader: RealProgram = {
  name: 'torch-dataloader',
  about: 'a DataLoader with two persistent workers that shuffles; each epoch gives every sample once',
  packages,
  files: {
    'torch-loader.py': `import os, time
import torch
from torch.utils.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, n):
        return torch.full((1000,), float(n * n))

if __name__ == '__main__':
    torch.set_num_threads(1)
    loader = DataLoader(Squares(), 4, shuffle=True, num_workers=2, persistent_workers=True)
    turn = 0
    while True:
        seen = []
        for batch in loader:
            seen += batch[:, 0].tolist()
            turn += 1
            with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
            os.rename('/tmp/turn.new', '/tmp/turn')
            time.sleep(0.1)
        assert sorted(seen) == [float(n * n) for n in range(40)], seen
`,
  },
  command: ['python3', '/program/torch-loader.py'],
  check: told,
}

export const torchDdp: RealProgram = {
  name: 'torch-ddp',
  about:
    'DistributedDataParallel over gloo, two processes of one program; after each step both have the same parameters',
  packages,
  files: {
    'torch-ddp.py': `${trains}
if __name__ == '__main__':
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='7012')
    torch.multiprocessing.spawn(train, (2,), nprocs=2)
`,
  },
  command: [...withoutLibuv, 'python3', '/program/torch-ddp.py'],
  check: told,
}
