import { told, type RealProgram } from './program.ts'

export const python: RealProgram = {
  name: 'python',
  about: 'a pool of processes, a queue and shared memory of multiprocessing; each worker’s sum is compared',
  packages: ['python3'],
  files: {
    'python.py': `import multiprocessing as mp, os, time
from multiprocessing import shared_memory
def square(number):
    return number * number
def count(name, queue, lock):
    memory = shared_memory.SharedMemory(name)
    while True:
        number = queue.get()
        with lock:
            memory.buf[:8] = (int.from_bytes(memory.buf[:8], 'little') + number).to_bytes(8, 'little')
        queue.task_done()
if __name__ == '__main__':
    memory = shared_memory.SharedMemory(create=True, size=4096)
    memory.buf[:8] = bytes(8)
    queue, lock = mp.JoinableQueue(), mp.Lock()
    workers = [mp.Process(target=count, args=(memory.name, queue, lock), daemon=True) for _ in range(2)]
    for worker in workers: worker.start()
    pool = mp.Pool(2)
    turn = 0
    while True:
        turn += 1
        for number in range(10): queue.put(turn)
        queue.join()
        assert int.from_bytes(memory.buf[:8], 'little') == 5 * turn * (turn + 1), turn
        assert pool.map(square, range(100)) == [n * n for n in range(100)]
        with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
        os.rename('/tmp/turn.new', '/tmp/turn')
        time.sleep(0.1)
`,
  },
  command: ['python3', '/program/python.py'],
  check: told,
}
