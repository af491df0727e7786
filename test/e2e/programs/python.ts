import { told, type RealProgram } from './program.ts'

export const python: RealProgram = {
  name: 'python',
  about: 'a pool of processes, workers with a queue, and a number in shared memory; each sum is compared',
  packages: ['python3'],
  files: {
    'python.py': `import multiprocessing as mp, os, time
def square(number):
    return number * number
def count(total, queue):
    while True:
        number = queue.get()
        with total.get_lock():
            total.value += number
        queue.task_done()
if __name__ == '__main__':
    total, queue = mp.Value('q', 0), mp.JoinableQueue()
    workers = [mp.Process(target=count, args=(total, queue), daemon=True) for _ in range(2)]
    for worker in workers: worker.start()
    pool = mp.Pool(2)
    turn = 0
    while True:
        turn += 1
        for number in range(10): queue.put(turn)
        queue.join()
        assert total.value == 5 * turn * (turn + 1), turn
        assert pool.map(square, range(100)) == [n * n for n in range(100)]
        with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
        os.rename('/tmp/turn.new', '/tmp/turn')
        time.sleep(0.1)
`,
  },
  command: ['python3', '/program/python.py'],
  check: told,
}
