/** One program for each language: it keeps numbers in memory, has a child or threads where that is usual, and adds up anew each turn. */
import { told, type RealProgram } from './program.ts'

const squares = 'squares in memory that are added up each turn'

export const ruby: RealProgram = {
  name: 'ruby',
  about: `${squares}, made by two threads and a child`,
  packages: ['ruby'],
  files: {
    'ruby.rb': `ask, done = Queue.new, Queue.new
2.times { Thread.new { loop { n = ask.pop; done << [n, n * n] } } }
child = IO.popen('while read -r n; do echo $((n + 1)); done', 'r+')
squares = {}
(1..).each do |turn|
  ask << turn
  n, square = done.pop
  squares[n] = square
  raise "sum at #{turn}" if squares.values.sum != turn * (turn + 1) * (2 * turn + 1) / 6
  child.puts turn
  raise "child at #{turn}" if child.gets.to_i != turn + 1
  File.write('/tmp/turn.new', turn.to_s)
  File.rename('/tmp/turn.new', '/tmp/turn')
  sleep 0.1
end
`,
  },
  command: ['ruby', '/program/ruby.rb'],
  check: told,
}

export const php: RealProgram = {
  name: 'php',
  about: `${squares}, and a child`,
  packages: ['php-cli'],
  files: {
    'php.php': `<?php
$child = proc_open(['sh', '-c', 'while read -r n; do echo $((n + 1)); done'], [['pipe', 'r'], ['pipe', 'w']], $pipes);
$squares = [];
for ($turn = 1; ; $turn++) {
  $squares[$turn] = $turn * $turn;
  fwrite($pipes[0], "$turn\\n");
  if ((int) fgets($pipes[1]) != $turn + 1) exit(1);
  if (array_sum($squares) != $turn * ($turn + 1) * (2 * $turn + 1) / 6) exit(1);
  file_put_contents('/tmp/turn.new', $turn);
  rename('/tmp/turn.new', '/tmp/turn');
  usleep(100000);
}
`,
  },
  command: ['php', '/program/php.php'],
  check: told,
}

export const lua: RealProgram = {
  name: 'lua',
  about: `${squares}, made by a coroutine`,
  packages: ['lua5.4'],
  files: {
    'lua.lua': `local make = coroutine.wrap(function() local n = 0 while true do n = n + 1 coroutine.yield(n * n) end end)
local squares, turn = {}, 0
while true do
  turn = turn + 1
  squares[turn] = make()
  local sum = 0
  for _, square in ipairs(squares) do sum = sum + square end
  assert(sum == turn * (turn + 1) * (2 * turn + 1) // 6)
  local file = io.open('/tmp/turn.new', 'w') file:write(turn) file:close()
  os.rename('/tmp/turn.new', '/tmp/turn')
  os.execute('sleep 0.1')
end
`,
  },
  command: ['lua5.4', '/program/lua.lua'],
  check: told,
}

export const tcl: RealProgram = {
  name: 'tcl',
  about: `${squares}, by timers of an event loop`,
  packages: ['tcl8.6'],
  files: {
    'tcl.tcl': `set turn 0
proc step {} {
  global turn squares
  incr turn
  set squares($turn) [expr {$turn * $turn}]
  set sum 0
  foreach {n square} [array get squares] { incr sum $square }
  if {$sum != $turn * ($turn + 1) * (2 * $turn + 1) / 6} { exit 1 }
  set file [open /tmp/turn.new w]; puts $file $turn; close $file
  file rename -force /tmp/turn.new /tmp/turn
  after 100 step
}
step
vwait forever
`,
  },
  command: ['tclsh8.6', '/program/tcl.tcl'],
  check: told,
}

export const gawk: RealProgram = {
  name: 'gawk',
  about: `${squares}, and a co-process`,
  packages: ['gawk'],
  files: {
    'gawk.awk': `BEGIN {
  command = "while read -r n; do echo $((n * n)); done"
  for (turn = 1; ; turn++) {
    print turn |& command; command |& getline squares[turn]
    sum = 0; for (n in squares) sum += squares[n]
    if (sum != turn * (turn + 1) * (2 * turn + 1) / 6) exit 1
    print turn > "/tmp/turn.new"; close("/tmp/turn.new")
    system("mv /tmp/turn.new /tmp/turn; sleep 0.1")
  }
}
`,
  },
  command: ['gawk', '-f', '/program/gawk.awk'],
  check: told,
}

export const ocaml: RealProgram = {
  name: 'ocaml',
  about: `${squares}, and are collected as garbage in between`,
  packages: ['ocaml-nox'],
  files: {
    'ocaml.ml': `let squares = Hashtbl.create 16
let rec step turn =
  Hashtbl.replace squares turn (turn * turn);
  let sum = Hashtbl.fold (fun _ square sum -> sum + square) squares 0 in
  if sum <> turn * (turn + 1) * (2 * turn + 1) / 6 then exit 1;
  Gc.compact ();
  let file = open_out "/tmp/turn.new" in
  output_string file (string_of_int turn); close_out file;
  Sys.rename "/tmp/turn.new" "/tmp/turn";
  Unix.sleepf 0.1;
  step (turn + 1)
let () = step 1
`,
  },
  command: ['ocaml', '-I', '+unix', 'unix.cma', '/program/ocaml.ml'],
  check: told,
}

export const sbcl: RealProgram = {
  name: 'sbcl',
  about: `${squares}, made by a thread of Common Lisp`,
  packages: ['sbcl'],
  files: {
    'sbcl.lisp': `(defvar *squares* (make-hash-table))
(loop for turn from 1 do
  (sb-thread:join-thread (sb-thread:make-thread
    (lambda () (setf (gethash turn *squares*) (* turn turn)))))
  (let ((sum 0))
    (maphash (lambda (n square) (declare (ignore n)) (incf sum square)) *squares*)
    (unless (= sum (/ (* turn (+ turn 1) (+ (* 2 turn) 1)) 6)) (sb-ext:exit :code 1)))
  (with-open-file (file "/tmp/turn.new" :direction :output :if-exists :supersede) (format file "~d" turn))
  (rename-file "/tmp/turn.new" "/tmp/turn.done")
  (sb-ext:run-program "/bin/mv" '("/tmp/turn.done" "/tmp/turn"))
  (sleep 0.1))
`,
  },
  command: ['sbcl', '--script', '/program/sbcl.lisp'],
  check: told,
}

export const erlang: RealProgram = {
  name: 'erlang',
  about: `${squares} by an ETS table and 50 processes of the emulator`,
  packages: ['erlang-base'],
  files: {
    'erlang.escript': `#!/usr/bin/env escript
main(_) -> ets:new(squares, [named_table, public]), step(1).
step(Turn) ->
  Me = self(),
  Pids = [spawn(fun() -> Me ! {self(), N * N} end) || N <- lists:seq(1, 50)],
  Sum = lists:sum([receive {Pid, Square} -> Square end || Pid <- Pids]),
  42925 = Sum,
  ets:insert(squares, {Turn, Turn * Turn}),
  All = ets:foldl(fun({_, Square}, So) -> Square + So end, 0, squares),
  All = Turn * (Turn + 1) * (2 * Turn + 1) div 6,
  ok = file:write_file("/tmp/turn.new", integer_to_list(Turn)),
  ok = file:rename("/tmp/turn.new", "/tmp/turn"),
  timer:sleep(100),
  step(Turn + 1).
`,
  },
  command: ['escript', '/program/erlang.escript'],
  check: told,
}

export const node: RealProgram = {
  name: 'node',
  about: `${squares}, made by two worker threads, with a server that listens`,
  packages: ['nodejs'],
  files: {
    'node.cjs': `const { Worker, isMainThread, parentPort } = require('node:worker_threads')
const { renameSync, writeFileSync } = require('node:fs')
if (isMainThread) {
  const workers = [new Worker(__filename), new Worker(__filename)]
  require('node:http').createServer((_, answer) => answer.end('here')).listen(7006, '127.0.0.1')
  const squares = new Map()
  const ask = (worker, n) => new Promise((resolve) => { worker.once('message', resolve); worker.postMessage(n) })
  void (async () => {
    for (let turn = 1; ; turn++) {
      const both = await Promise.all(workers.map((worker) => ask(worker, turn)))
      squares.set(turn, both[0])
      const sum = [...squares.values()].reduce((so, square) => so + square, 0)
      if (both[0] !== both[1] || sum !== (turn * (turn + 1) * (2 * turn + 1)) / 6) process.exit(1)
      if ((await (await fetch('http://127.0.0.1:7006', { headers: { connection: 'close' } })).text()) !== 'here') process.exit(1)
      writeFileSync('/tmp/turn.new', String(turn))
      renameSync('/tmp/turn.new', '/tmp/turn')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
} else parentPort.on('message', (n) => parentPort.postMessage(n * n))
`,
  },
  command: ['node', '/program/node.cjs'],
  check: told,
}

export const java: RealProgram = {
  name: 'java',
  about: `${squares} by a pool of threads, beside the garbage collector G1`,
  packages: ['openjdk-17-jdk-headless'],
  files: {
    'Main.java': `import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
public class Main {
  public static void main(String[] words) throws Exception {
    var pool = Executors.newFixedThreadPool(4);
    var squares = new ConcurrentHashMap<Long, Long>();
    for (long turn = 1; ; turn++) {
      final long n = turn;
      pool.submit(() -> squares.put(n, n * n)).get();
      var waste = new ArrayList<byte[]>();
      for (int i = 0; i < 20; i++) waste.add(new byte[100_000]);
      long sum = squares.values().stream().mapToLong(Long::longValue).sum();
      if (sum != n * (n + 1) * (2 * n + 1) / 6) System.exit(1);
      Files.writeString(Path.of("/tmp/turn.new"), Long.toString(n));
      Files.move(Path.of("/tmp/turn.new"), Path.of("/tmp/turn"), StandardCopyOption.ATOMIC_MOVE);
      Thread.sleep(100);
    }
  }
}
`,
  },
  command: ['java', '-XX:+UseG1GC', '-Xmx128m', '/program/Main.java'],
  check: told,
}

export const go: RealProgram = {
  name: 'go',
  about: `${squares} by goroutines, with a listener that is asked each turn`,
  packages: ['golang-go'],
  files: {
    'main.go': `package main

import ("fmt"; "io"; "net"; "net/http"; "os"; "time")

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:7007")
	if err != nil { panic(err) }
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	squares := map[int]int{}
	for turn := 1; ; turn++ {
		answers := make(chan int)
		go func(n int) { answers <- n * n }(turn)
		squares[turn] = <-answers
		sum := 0
		for _, square := range squares { sum += square }
		if sum != turn*(turn+1)*(2*turn+1)/6 { os.Exit(1) }
		answer, err := http.Get("http://127.0.0.1:7007")
		if err != nil { continue }
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(body) != "here" { os.Exit(1) }
		os.WriteFile("/tmp/turn.new", []byte(fmt.Sprint(turn)), 0644)
		os.Rename("/tmp/turn.new", "/tmp/turn")
		time.Sleep(100 * time.Millisecond)
	}
}
`,
  },
  command: [
    'sh',
    '-c',
    'cd /tmp && HOME=/tmp GOCACHE=/tmp/go go build -o /tmp/main /program/main.go && exec /tmp/main',
  ],
  check: told,
}

export const r: RealProgram = {
  name: 'r',
  about: `${squares}, and a child by \`parallel\``,
  packages: ['r-base-core'],
  files: {
    'r.R': `squares <- c()
turn <- 0
repeat {
  turn <- turn + 1
  squares <- c(squares, parallel::mclapply(c(turn, turn), function(n) n * n, mc.cores = 2)[[1]])
  stopifnot(sum(squares) == turn * (turn + 1) * (2 * turn + 1) / 6)
  writeLines(as.character(turn), '/tmp/turn.new')
  file.rename('/tmp/turn.new', '/tmp/turn')
  Sys.sleep(0.1)
}
`,
  },
  command: ['Rscript', '/program/r.R'],
  check: told,
}
