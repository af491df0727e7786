import type { RealProgram } from './program.ts'

export const git: RealProgram = {
  name: 'git',
  about:
    'commits, branches and repacking in the container’s own layer; `git fsck`, and every commit is there',
  packages: ['git'],
  files: {
    'git.sh': `set -e
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=/tmp
git init -q /var/lib/repository && cd /var/lib/repository
for ((turn = 1; ; turn++)); do
  seq 1 $turn > numbers && git add numbers && git commit -q -m "turn $turn"
  [ "$(git rev-list --count HEAD)" = $turn ]
  [ $((turn % 20)) != 0 ] || git repack -q -a -d
  sleep 0.1
done
`,
  },
  command: ['bash', '/program/git.sh'],
  check:
    'cd /var/lib/repository && git -c safe.directory="*" fsck --no-dangling 2>&1 | (! grep -E "error|missing|corrupt" >&2) && git -c safe.directory="*" rev-list --count HEAD',
}
