/* The modes of the launcher: each gets the words after its name and returns the exit status. See PROTOCOL.md. */
#ifndef MODES_H
#define MODES_H

/* What the launcher itself exits with when it could not do its work: as env, nohup and docker use it. */
#define EXIT_LAUNCHER 125

int run_mode(char **words);
int prestop_mode(char **words);
int enter_mode(char **words);
int supervise_mode(char **words);
int hook_mode(void);
int lastpid_mode(char **words);
int guard_mode(char **words);
int lock_mode(char **words);
int memory_cgroup_mode(char **words);

#endif
