#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One write for each message, so that the lines of two processes do not mix. */
static void say(const char *format, va_list values)
{
	static const char prefix[] = "reprieve-launcher: ";
	char line[1024];
	int error = errno;
	size_t used = sizeof prefix - 1;

	memcpy(line, prefix, used);
	errno = error;
	int length = vsnprintf(line + used, sizeof line - used - 1, format, values);
	if (length > 0)
		used += (size_t)length < sizeof line - used - 1 ? (size_t)length : sizeof line - used - 2;
	line[used++] = '\n';
	/* There is no place to report that standard error cannot be written. */
	ssize_t ignored = write(STDERR_FILENO, line, used);
	(void)ignored;
	errno = error;
}

void warn(const char *format, ...)
{
	va_list values;
	va_start(values, format);
	say(format, values);
	va_end(values);
}

void die(int code, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	say(format, values);
	va_end(values);
	_exit(code);
}
