/** Programs of the command line that go on for long. */
import { tell, told, type RealProgram } from './program.ts'

export const rsync: RealProgram = {
  name: 'rsync',
  about: 'a folder of 300 files copied over and over, with two processes of its own; `diff -r` after each',
  packages: ['rsync'],
  files: {
    'rsync.sh': `mkdir -p /tmp/from; for n in $(seq 300); do head -c 20000 /dev/urandom >/tmp/from/$n; done
for ((turn = 1; ; turn++)); do
  echo $turn >/tmp/from/$((turn % 300 + 1))
  rm -rf /tmp/to
  rsync -a --checksum --bwlimit=8000 /tmp/from/ /tmp/to/ && diff -r /tmp/from /tmp/to || exit 1
  ${tell}
done
`,
  },
  command: ['bash', '/program/rsync.sh'],
  check: told,
}

export const tail: RealProgram = {
  name: 'tail',
  about: '`tail -F` of a log in the container’s own layer that another process writes; each line comes once',
  packages: ['coreutils'],
  files: {
    'tail.sh': `: >/var/log/lines
tail -n +1 -F /var/log/lines >/tmp/copy 2>/tmp/said &
for ((turn = 1; ; turn++)); do echo "line $turn" >>/var/log/lines; sleep 0.1; done
`,
  },
  command: ['bash', '/program/tail.sh'],
  check: '[ -z "$(sort /tmp/copy | uniq -d)" ] && grep -c . /tmp/copy',
}

export const vim: RealProgram = {
  name: 'vim',
  about: 'an editor in a terminal of tmux, that changes a text by a timer and writes it; the text is whole',
  packages: ['vim', 'tmux', 'ncurses-base'],
  files: {
    'vim.vim': `set nocompatible noswapfile
let g:turn = 0
function Step(timer)
  let g:turn += 1
  call append(line('$'), 'line ' . g:turn)
  silent write! /tmp/text
endfunction
call timer_start(150, 'Step', {'repeat': -1})
`,
    'vim.sh': `export LANG=C.UTF-8 TERM=screen
tmux -S /tmp/tmux new-session -d -x 80 -y 25 'vim -u /program/vim.vim'
while tmux -S /tmp/tmux has-session; do sleep 1; done
exit 1
`,
  },
  command: ['bash', '/program/vim.sh'],
  check: 'n=$(tail -1 /tmp/text | cut -c 6-) && [ "$(grep -c line /tmp/text)" = "$n" ] && echo "$n"',
}

export const ffmpeg: RealProgram = {
  name: 'ffmpeg',
  about: 'a video that is encoded as it is made, in parts of a second; each part has its ten frames',
  packages: ['ffmpeg'],
  command: ['bash', '-c', 'mkdir -p /tmp/parts && exec ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc=size=160x120:rate=10 -c:v mpeg4 -g 10 -f segment -segment_time 1 /tmp/parts/%05d.avi'], // prettier-ignore
  check: `set -- /tmp/parts/*.avi; n=$(($# - 1)); [ $n -ge 1 ] && eval "last=\\\${$n}" &&
    [ "$(ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$last")" = 10 ] && echo $n`,
}

export const mpi: RealProgram = {
  name: 'openmpi',
  about: '`mpirun` with two ranks on one host that pass a number around; each rank compares it',
  packages: ['openmpi-bin', 'libopenmpi-dev', 'gcc', 'libc6-dev'],
  files: {
    'ring.c': `#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words)
{
	int rank;
	MPI_Init(&count, &words);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (int turn = 1;; turn++) {
		int sum;
		MPI_Allreduce(&turn, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
		if (sum != 2 * turn)
			MPI_Abort(MPI_COMM_WORLD, 1);
		if (rank == 0) {
			FILE *file = fopen("/tmp/turn.new", "w");
			fprintf(file, "%d", turn);
			fclose(file);
			rename("/tmp/turn.new", "/tmp/turn");
		}
		usleep(100000);
	}
}
`,
  },
  command: [
    'bash',
    '-c',
    'mpicc -o /tmp/ring /program/ring.c && exec mpirun --allow-run-as-root --oversubscribe -np 2 /tmp/ring',
  ],
  check: told,
}

export const joblib: RealProgram = {
  name: 'scikit-learn',
  about:
    'forests that are fitted and asked over and over, with two processes of joblib; each says the same of its data',
  packages: ['python3-sklearn'],
  files: {
    'fits.py': `import os, time
from joblib import Parallel, delayed
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
x, y = make_classification(400, random_state=1)
def fit(seed):
    return RandomForestClassifier(5, random_state=seed).fit(x, y).score(x, y)
first, turn = None, 0
with Parallel(n_jobs=2) as parallel:
    while True:
        turn += 1
        scores = parallel(delayed(fit)(seed) for seed in range(4))
        first = first or scores
        assert scores == first
        with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
        os.rename('/tmp/turn.new', '/tmp/turn')
`,
  },
  command: ['python3', '/program/fits.py'],
  check: told,
}
