/*
 * One container's shim, as containerd-shim-runc-v2 is to containerd: it makes the container's standard output and
 * error (pipes, which CRIU can carry, unlike the socket pairs that Node makes), writes the log in the CRI's
 * format, is the container's reaper (child subreaper, so that the exit status is the true one) and lives as long
 * as the container does. It also makes the mounts, in a mount namespace of its own, so that nothing can be
 * left mounted on the machine.
 *
 *   pod-shim --log=FILE --pid-file=FILE [--join-mount=PID] [--procs=CGROUP.PROCS]...
 *            [--mount=TYPE|TARGET|OPTIONS]... -- COMMAND...
 *
 * COMMAND (runc create) must leave the pid of the container's first process in the pid file.
 * On standard output: "created pid=N", "failed code=N", "exited status=N" (N as a shell gives it).
 * Standard input is never written to: its end means that the harness died, and the container is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 16384 }; /* containerd cuts longer lines, too: max_container_log_line_size */

struct stream {
  const char *name;
  int fd;
  size_t used;
  char line[LINE_BYTES];
};

static struct stream streams[2] = {{.name = "stdout", .fd = -1}, {.name = "stderr", .fd = -1}};
static int log_fd = -1;
static const char *procs_files[16];
static size_t procs_count = 0;

static void die(const char *what, const char *on) {
  fprintf(stderr, "pod-shim: %s %s: %s\n", what, on, strerror(errno));
  exit(70);
}

static void say(const char *format, ...) {
  char line[128];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (write(STDOUT_FILENO, line, (size_t)length) < 0 && errno != EPIPE) die("write", "event");
}

static void write_line(struct stream *from, char tag) {
  struct timespec now;
  struct tm utc;
  char stamp[40], head[80];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  int length = snprintf(head, sizeof head, "%s.%09ldZ %s %c ", stamp, now.tv_nsec, from->name, tag);
  static char record[LINE_BYTES + 128];
  memcpy(record, head, (size_t)length);
  memcpy(record + length, from->line, from->used);
  record[(size_t)length + from->used] = '\n';
  if (write(log_fd, record, (size_t)length + from->used + 1) < 0) die("write", "log");
  from->used = 0;
}

/* Takes what the pipe holds now. Returns 0 when there is nothing more to come. */
static int take(struct stream *from) {
  char bytes[65536];
  for (;;) {
    ssize_t count = read(from->fd, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return 1;
    if (count <= 0) return 0;
    for (ssize_t at = 0; at < count; at++) {
      if (bytes[at] == '\n') {
        write_line(from, 'F');
        continue;
      }
      from->line[from->used++] = bytes[at];
      if (from->used == LINE_BYTES) write_line(from, 'P');
    }
  }
}

/* "overlay|/target|lowerdir=...", "tmpfs|/target|size=..." as the kubelet mounts it, "shm|..." as containerd does. */
static void make_mount(char *description) {
  char *type = strtok(description, "|"), *target = strtok(NULL, "|"), *options = strtok(NULL, "|");
  if (!type || !target) die("read", "--mount");
  int is_shm = strcmp(type, "shm") == 0;
  unsigned long flags = is_shm ? MS_NOSUID | MS_NODEV | MS_NOEXEC : 0;
  if (mount(type, target, is_shm ? "tmpfs" : type, flags, options ? options : "") < 0) die("mount", target);
}

/* containerd kills what is left of a container whose first process has ended (ShouldKillAllOnExit). */
static void kill_the_rest(void) {
  for (int turn = 0; turn < 200; turn++) {
    int found = 0;
    for (size_t at = 0; at < procs_count; at++) {
      FILE *procs = fopen(procs_files[at], "re");
      int pid;
      if (!procs) continue;
      while (fscanf(procs, "%d", &pid) == 1)
        if (pid > 0) {
          found = 1;
          kill(pid, SIGKILL);
        }
      fclose(procs);
    }
    if (!found) return;
    usleep(2000);
  }
}

static pid_t read_pid(const char *path) {
  FILE *file = fopen(path, "re");
  int pid = 0;
  if (!file) die("open", path);
  if (fscanf(file, "%d", &pid) != 1 || pid <= 1) die("read", path);
  fclose(file);
  return pid;
}

static int shell_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Becomes the container's outer side: waits for `init`, copying output; returns its status. */
static int watch(pid_t init, int signals) {
  struct pollfd polled[4] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = signals, .events = POLLIN},
                             {.fd = streams[0].fd, .events = POLLIN},
                             {.fd = streams[1].fd, .events = POLLIN}};
  for (;;) {
    if (poll(polled, 4, -1) < 0 && errno != EINTR) die("poll", "descriptors");
    for (int at = 0; at < 2; at++)
      if (polled[2 + at].revents && !take(&streams[at])) polled[2 + at].fd = -1;
    if (polled[0].revents) {
      char byte;
      if (read(STDIN_FILENO, &byte, 1) <= 0) {
        kill(init, SIGKILL);
        polled[0].fd = -1;
      }
    }
    if (polled[1].revents) {
      struct signalfd_siginfo info;
      while (read(signals, &info, sizeof info) > 0) {
      }
      int status, ended = -1;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == init) ended = status;
      if (ended >= 0) return shell_status(ended);
    }
  }
}

int main(int argc, char **argv) {
  const char *log_path = NULL, *pid_path = NULL;
  int join = 0, at = 1;
  char *mounts[32];
  size_t mount_count = 0;
  for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
    if (strncmp(argv[at], "--log=", 6) == 0) log_path = argv[at] + 6;
    else if (strncmp(argv[at], "--pid-file=", 11) == 0) pid_path = argv[at] + 11;
    else if (strncmp(argv[at], "--join-mount=", 13) == 0) join = atoi(argv[at] + 13);
    else if (strncmp(argv[at], "--procs=", 8) == 0 && procs_count < 16) procs_files[procs_count++] = argv[at] + 8;
    else if (strncmp(argv[at], "--mount=", 8) == 0 && mount_count < 32) mounts[mount_count++] = argv[at] + 8;
    else errno = EINVAL, die("read", argv[at]);
  }
  if (!log_path || !pid_path || at + 1 >= argc) errno = EINVAL, die("read", "arguments");

  signal(SIGPIPE, SIG_IGN);
  setsid();
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) die("prctl", "child subreaper");
  if (join > 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", join);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNS) < 0) die("setns", path);
    close(ns);
  }
  if (unshare(CLONE_NEWNS) < 0) die("unshare", "mount namespace");
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) die("make slave", "/");
  for (size_t each = 0; each < mount_count; each++) make_mount(mounts[each]);

  log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log_fd < 0) die("open", log_path);
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) die("pipe", "output");

  sigset_t chld, before;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, &before);
  int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) die("signalfd", "SIGCHLD");

  pid_t runtime = fork();
  if (runtime < 0) die("fork", "runtime");
  if (runtime == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0) _exit(126);
    if (null > 2) close(null);
    execvp(argv[at + 1], argv + at + 1);
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  streams[0].fd = out[0];
  streams[1].fd = err[0];
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);

  int status;
  while (waitpid(runtime, &status, 0) < 0)
    if (errno != EINTR) die("wait for", argv[at + 1]);
  if (status != 0) {
    take(&streams[0]);
    take(&streams[1]);
    say("failed code=%d\n", shell_status(status));
    return 0;
  }
  pid_t init = read_pid(pid_path);
  kill(getpid(), SIGCHLD); /* the container may have ended already, its SIGCHLD merged with the runtime's */
  say("created pid=%d\n", init);
  int code = watch(init, signals);
  kill_the_rest();
  for (int each = 0; each < 2; each++) {
    take(&streams[each]);
    if (streams[each].used > 0) write_line(&streams[each], 'P');
  }
  say("exited status=%d\n", code);
  return 0;
}
