/** All programs. Those of every day run in `make test`, all of them in `make programs`. */
import { bash } from './bash.ts'
import { git } from './git.ts'
import { erlang, gawk, go, java, lua, node, ocaml, php, r, ruby, sbcl, tcl } from './languages.ts'
import { perl } from './perl.ts'
import { python } from './python.ts'
import { gcc, make } from './make.ts'
import { nginx } from './nginx.ts'
import { postgresql } from './postgresql.ts'
import type { RealProgram } from './program.ts'
import { redis } from './redis.ts'
import { cron, gunicorn, haproxy, mariadb, memcached, mosquitto, supervisord, tini } from './services.ts'
import { sqlite, sqliteWal } from './sqlite.ts'
import { tmux } from './tmux.ts'
import { torchDdp, torchLoader } from './torch.ts'
import { ffmpeg, joblib, mpi, rsync, tail, vim } from './tools.ts'

/** Each group is one pod, and one image. */
// prettier-ignore
export const groups = {
  'every-day': [bash, python, sqliteWal, sqlite, redis, postgresql, nginx, perl, make, git, tail],
  languages: [ruby, php, lua, tcl, gawk, ocaml, sbcl, erlang, tini, cron],
  services: [supervisord, memcached, gunicorn, mosquitto, haproxy, rsync, tmux, vim, gcc],
  large: [node, java, go, r, mariadb, ffmpeg, mpi, joblib],
  torch: [torchLoader, torchDdp],
} as const satisfies Record<string, readonly RealProgram[]>

export const packagesOf = (programs: readonly RealProgram[]): string[] =>
  [...new Set(programs.flatMap(({ packages }) => packages))].toSorted()
