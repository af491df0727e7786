/* Messages for people, on standard error; the launcher is quiet when all is well. */
#ifndef REPORT_H
#define REPORT_H

#include <stdnoreturn.h>

/* Says which call on what went wrong; `%m` in the format is the text of errno. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Warns and exits with the code, without running what a forked parent registered to run at exit. */
noreturn void die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
