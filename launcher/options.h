/* The words of a mode: `--key=value` and `--flag`, then `--` and the command. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>

struct options {
	char **words;
	int count;
	char **command; /* ends with NULL; empty when there was no `--` */
};

/* `known` is a list ended by NULL, of `key=` and `flag` names; any other word ends the launcher. */
struct options parse_options(char **words, const char *const *known);

/* NULL where it was not given. */
const char *option_text(const struct options *options, const char *key);
/* The value of the nth use of a key, from 0; NULL past the last. */
const char *option_nth(const struct options *options, const char *key, int nth);
bool option_flag(const struct options *options, const char *name);
/* A whole number, at least `least`; a missing one is `otherwise`; anything else ends the launcher. */
long long option_number(const struct options *options, const char *key, long long least, long long otherwise);

/* Digits only; false for anything else or past nine quadrillion. */
bool parse_number(const char *text, long long *number);

#endif
