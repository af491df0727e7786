/*
 * The pod's pause process: PID 1 of the shared PID namespace. It does what Kubernetes' own pause does
 * (kubernetes/build/pause/linux/pause.c): holds the namespaces open, reaps orphans, ends on SIGINT and SIGTERM.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static void reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction on_end = {.sa_handler = end}, on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
  if (sigaction(SIGINT, &on_end, NULL) < 0 || sigaction(SIGTERM, &on_end, NULL) < 0) return 1;
  if (sigaction(SIGCHLD, &on_child, NULL) < 0) return 2;
  for (;;) pause();
}
