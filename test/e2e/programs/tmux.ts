import type { RealProgram } from './program.ts'

export const tmux: RealProgram = {
  name: 'tmux',
  about:
    'a server with a shell in a terminal, which counts on; the screen shows the number, and the shell takes commands',
  packages: ['tmux', 'ncurses-base'],
  files: {
    'tmux.sh': `export LANG=C.UTF-8 TERM=screen
tmux -S /tmp/tmux new-session -d -x 80 -y 25 'bash --norc -i'
tmux -S /tmp/tmux send-keys 'n=0; while true; do n=$((n + 1)); echo "turn $n of $(tty)"; sleep 0.1; done' Enter
while tmux -S /tmp/tmux has-session; do sleep 1; done
exit 1
`,
  },
  command: ['bash', '/program/tmux.sh'],
  check: 'tmux -S /tmp/tmux capture-pane -p | sed -n "s,^turn \\([0-9]*\\) of /dev/pts/.*,\\1,p" | tail -1',
}
