/* The modes of the launcher. Each gets the words after its name and returns the exit code. See PROTOCOL.md. */
#ifndef MODES_H
#define MODES_H

int run_mode(char **words);
int prestop_mode(char **words);
int enter_mode(char **words);
int supervise_mode(char **words);
int hook_mode(void);
int lastpid_mode(char **words);
int guard_mode(char **words);
int lock_mode(char **words);
int memory_cgroup_mode(char **words);
int peers_mode(char **words);
int connections_mode(char **words);
int affinity_mode(char **words);
int filters_mode(char **words);
int record_locks_mode(char **words);

#endif
