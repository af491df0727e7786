"""Trains a small network on synthetic data: worker processes prepare the batches in shared memory, the main process
learns from them. The same STEPS give the same weights, to the bit.

    STEPS    how many batches to learn from (100)
    STEP_MS  how long to rest after each, in milliseconds (0)
    HURRY    a file: once it is there, no rest any more (none)
"""

import hashlib
import logging
import multiprocessing
import os
import queue
import tempfile
import time
from multiprocessing import shared_memory

# Before numpy is loaded: it starts its threads then.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np  # noqa: E402

STEPS = int(os.environ.get("STEPS", "100"))
STEP_MS = float(os.environ.get("STEP_MS", "0"))
HURRY = os.environ.get("HURRY", "")
LOG_FILE = "/var/log/train.log"
BEST_FILE = "/tmp/best.npz"

SEED = 7
SAMPLES, FEATURES, HIDDEN, CLASSES = 100_000, 64, 256, 10
BATCH = 256
WORKERS = 2
SLOTS = 2 * WORKERS
RATE, MOMENTUM = 0.05, 0.9


def make_data():
    """Points around one centre a class, as float32: 25 MB, which the workers share with us by fork."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(CLASSES, FEATURES))
    labels = rng.integers(CLASSES, size=SAMPLES)
    points = centres[labels] + 6 * rng.normal(size=(SAMPLES, FEATURES))
    return points.astype(np.float32), labels.astype(np.int64)


def slots_of(memory):
    """The shared memory as SLOTS batches of points and labels."""
    points = np.ndarray((SLOTS, BATCH, FEATURES), np.float32, memory.buf)
    labels = np.ndarray((SLOTS, BATCH), np.int64, memory.buf, offset=points.nbytes)
    return points, labels


def prepare_batches(data, memory, tasks, ready):
    """A worker: draws and jitters the batch of each number that it is given."""
    points, labels = slots_of(memory)
    while (number := tasks.get()) is not None:
        rng = np.random.default_rng((SEED, number))
        chosen = rng.integers(SAMPLES, size=BATCH)
        points[number % SLOTS] = data[0][chosen] + 0.1 * rng.standard_normal((BATCH, FEATURES), np.float32)
        labels[number % SLOTS] = data[1][chosen]
        ready.put(number)


class Network:
    def __init__(self):
        rng = np.random.default_rng(SEED + 1)
        self.weights = [
            (rng.normal(size=(FEATURES, HIDDEN)) / np.sqrt(FEATURES)).astype(np.float32),
            np.zeros(HIDDEN, np.float32),
            (rng.normal(size=(HIDDEN, CLASSES)) / np.sqrt(HIDDEN)).astype(np.float32),
            np.zeros(CLASSES, np.float32),
        ]
        self.speeds = [np.zeros_like(weight) for weight in self.weights]

    def learn(self, points, labels):
        """One step of gradient descent with momentum; returns the loss before it."""
        w1, b1, w2, b2 = self.weights
        hidden = np.maximum(points @ w1 + b1, 0)
        scores = hidden @ w2 + b2
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        odds /= odds.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = -np.log(odds[rows, labels]).mean()
        odds[rows, labels] -= 1
        odds /= len(labels)
        back = (odds @ w2.T) * (hidden > 0)
        gradients = [points.T @ back, back.sum(axis=0), hidden.T @ odds, odds.sum(axis=0)]
        for weight, speed, gradient in zip(self.weights, self.speeds, gradients):
            speed *= MOMENTUM
            speed -= RATE * gradient
            weight += speed
        return float(loss)

    def digest(self):
        return hashlib.sha256(b"".join(weight.tobytes() for weight in self.weights)).hexdigest()


def next_ready(ready, workers):
    """The number of a batch that has been prepared; fails if no worker is left to do it."""
    while True:
        try:
            return ready.get(timeout=5)
        except queue.Empty:
            if not all(worker.is_alive() for worker in workers):
                raise RuntimeError("a worker died") from None


def train(memory, tasks, ready, workers):
    points, labels = slots_of(memory)
    network = Network()
    losses = tempfile.TemporaryFile()  # has no name any more: it lives as long as we hold it open
    best = float("inf")
    prepared = set()
    for number in range(min(SLOTS, STEPS)):
        tasks.put(number)
    for number in range(STEPS):
        while number not in prepared:
            prepared.add(next_ready(ready, workers))
        prepared.remove(number)
        loss = network.learn(points[number % SLOTS], labels[number % SLOTS])
        if number + SLOTS < STEPS:
            tasks.put(number + SLOTS)
        losses.write(np.float64(loss).tobytes())
        if loss < best:
            best = loss
            np.savez(BEST_FILE, *network.weights)
        digest = network.digest()
        logging.info("step %d loss %.6f digest %s", number + 1, loss, digest[:12])
        print(f"step {number + 1} loss {loss:.6f} digest {digest[:12]}", flush=True)
        if not os.path.exists(HURRY):
            time.sleep(STEP_MS / 1000)
    losses.seek(0)
    history = np.frombuffer(losses.read())
    with np.load(BEST_FILE) as kept, open(LOG_FILE) as log:
        kept_digest = hashlib.sha256(b"".join(kept[name].tobytes() for name in kept.files)).hexdigest()
        print(f"best loss {history.min():.6f} at step {history.argmin() + 1}, kept as {kept_digest[:12]}", flush=True)
        print(f"history of {len(history)} losses, log of {len(log.readlines())} lines", flush=True)
    print(f"final digest {network.digest()}", flush=True)


def main():
    logging.basicConfig(filename=LOG_FILE, filemode="w", level=logging.INFO, format="%(message)s")
    context = multiprocessing.get_context("fork")
    tasks, ready = context.Queue(), context.Queue()
    memory = shared_memory.SharedMemory(create=True, size=SLOTS * BATCH * (FEATURES * 4 + 8))
    data = make_data()
    workers = [
        context.Process(target=prepare_batches, args=(data, memory, tasks, ready), daemon=True) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    try:
        train(memory, tasks, ready, workers)
        for _ in workers:
            tasks.put(None)
        for worker in workers:
            worker.join(timeout=10)
    finally:
        memory.unlink()


if __name__ == "__main__":
    main()
