/* The words of a mode: `--key=value` and `--flag`, then `--` and the command. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>

struct options {
	char **words;
	int count;
	char **command; /* ends with NULL; empty when there was no `--` */
};

/* `known` is a list of `key=` and `flag` names that ends with NULL. Any other word ends the launcher. */
struct options parse_options(char **words, const char *const *known);

/* NULL if it is not given. */
const char *option_text(const struct options *options, const char *key);
/* The value of the nth use of a key, from 0; NULL after the last. */
const char *option_nth(const struct options *options, const char *key, int nth);
bool option_flag(const struct options *options, const char *name);
/* A whole number of at least `least`, or `otherwise` if it is not given. Any other value ends the launcher. */
long long option_number(const struct options *options, const char *key, long long least, long long otherwise);

/* Digits only, at most 15. Returns false for any other text. */
bool parse_number(const char *text, long long *number);

#endif
