/* Messages on standard error. The launcher writes none if nothing fails. */
#ifndef REPORT_H
#define REPORT_H

#include <stdnoreturn.h>

/* The exit code of a launcher that could not do its work: env, nohup and docker use the same. */
#define EXIT_LAUNCHER 125

/* Names the call that failed and its object. `%m` in the format is the text of errno. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Warns and exits with the code, without the exit handlers of a forked parent. */
noreturn void die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
