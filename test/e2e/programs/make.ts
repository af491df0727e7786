import { told, type RealProgram } from './program.ts'

export const make: RealProgram = {
  name: 'make',
  about: '`make -j4` with a job server, over and over; each result is built once, and after what it needs',
  packages: ['make', 'gcc', 'libc6-dev'],
  files: {
    Makefile: `all: $(patsubst %,/tmp/out/%.sum,1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
/tmp/out/%.txt: ; @sleep 0.2; seq 1 $* > $@; echo "$@" >> /tmp/out/built
/tmp/out/%.sum: /tmp/out/%.txt ; @sleep 0.1; awk '{ s += $$1 } END { print s }' $< > $@; echo "$@" >> /tmp/out/built
`,
    'make.sh': `for ((turn = 1; ; turn++)); do
  rm -rf /tmp/out; mkdir /tmp/out
  make -s -j4 -f /program/Makefile all || exit 1
  [ "$(cat /tmp/out/*.sum | awk '{ s += $1 } END { print s }')" = 816 ] || { echo "wrong in turn $turn"; exit 1; }
  [ "$(sort /tmp/out/built | uniq -d)" = "" ] && [ "$(wc -l < /tmp/out/built)" = 32 ] || exit 1
  echo "$turn" > /tmp/turn.new && mv /tmp/turn.new /tmp/turn
done
`,
  },
  command: ['bash', '/program/make.sh'],
  check: told,
}

export const gcc: RealProgram = {
  name: 'gcc',
  about: 'a C program compiled, linked and run, over and over; its output',
  packages: ['gcc', 'libc6-dev'],
  files: {
    'gcc.sh': `for ((turn = 1; ; turn++)); do
  printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\nint main(void) { printf("%%d", %d * 2); return 0; }\\n' $turn > /tmp/p.c
  gcc -O2 -o /tmp/p /tmp/p.c && [ "$(/tmp/p)" = $((turn * 2)) ] || exit 1
  echo "$turn" > /tmp/turn.new && mv /tmp/turn.new /tmp/turn
done
`,
  },
  command: ['bash', '/program/gcc.sh'],
  check: told,
}
