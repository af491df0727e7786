"""Trains a multilayer perceptron with PyTorch on synthetic data that a DataLoader's two persistent workers prepare.
The same STEPS give the same parameters, to the bit.

    STEPS    how many batches to learn from (100)
    STEP_MS  how long to rest after each, in milliseconds (0)
"""

import hashlib
import logging
import os
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

STEPS = int(os.environ.get("STEPS", "100"))
STEP_MS = float(os.environ.get("STEP_MS", "0"))
LOG_FILE = "/var/log/train.log"
BEST_FILE = "/tmp/best.pt"

SEED = 7
SAMPLES, FEATURES, HIDDEN, CLASSES = 10_000, 64, 256, 10
BATCH = 128


class Clusters(Dataset):
    """Points around one centre a class, each made of its own number, whoever asks for it."""

    def __init__(self):
        self.centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(SEED))

    def __len__(self):
        return SAMPLES

    def __getitem__(self, number):
        label = number % CLASSES
        noise = torch.randn(FEATURES, generator=torch.Generator().manual_seed(number))
        return self.centres[label] + 2 * noise, label


def make_loader():
    order = torch.Generator().manual_seed(SEED)
    return DataLoader(
        Clusters(), BATCH, shuffle=True, generator=order, num_workers=2, persistent_workers=True, drop_last=True
    )


def batches(loader):
    """Epoch after epoch."""
    while True:
        yield from loader


def digest_of(model):
    parts = (parameter.detach().numpy().tobytes() for parameter in model.parameters())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main():
    logging.basicConfig(filename=LOG_FILE, filemode="w", level=logging.INFO, format="%(message)s")
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    model = nn.Sequential(
        nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    best = float("inf")
    for step, (points, labels) in zip(range(1, STEPS + 1), batches(make_loader())):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(points), labels)
        loss.backward()
        optimizer.step()
        if loss.item() < best:
            best = loss.item()
            torch.save(model.state_dict(), BEST_FILE)
        digest = digest_of(model)
        logging.info("step %d loss %.6f digest %s", step, loss.item(), digest[:12])
        print(f"step {step} loss {loss.item():.6f} digest {digest[:12]}", flush=True)
        time.sleep(STEP_MS / 1000)
    final = digest_of(model)
    model.load_state_dict(torch.load(BEST_FILE))
    print(f"best loss {best:.6f}, kept as {digest_of(model)[:12]}", flush=True)
    with open(LOG_FILE) as log:
        print(f"log of {len(log.readlines())} lines", flush=True)
    print(f"final digest {final}", flush=True)


if __name__ == "__main__":
    main()
