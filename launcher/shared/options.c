#include "options.h"
#include "report.h"

#include <stddef.h>
#include <string.h>

static bool is_known(const char *word, const char *const *known)
{
	if (strncmp(word, "--", 2) != 0)
		return false;
	for (; *known; known++) {
		size_t length = strlen(*known);
		if ((*known)[length - 1] == '=' ? strncmp(word + 2, *known, length) == 0 : strcmp(word + 2, *known) == 0)
			return true;
	}
	return false;
}

struct options parse_options(char **words, const char *const *known)
{
	struct options options = { .words = words };
	for (; words[options.count]; options.count++) {
		if (strcmp(words[options.count], "--") == 0) {
			options.command = words + options.count + 1;
			return options;
		}
		if (!is_known(words[options.count], known))
			die(EXIT_LAUNCHER, "unknown option \"%s\"", words[options.count]);
	}
	options.command = words + options.count;
	return options;
}

const char *option_nth(const struct options *options, const char *key, int nth)
{
	size_t length = strlen(key);
	for (int i = 0; i < options->count; i++) {
		const char *word = options->words[i] + 2;
		if (strncmp(word, key, length) == 0 && word[length] == '=' && nth-- == 0)
			return word + length + 1;
	}
	return NULL;
}

const char *option_text(const struct options *options, const char *key)
{
	return option_nth(options, key, 0);
}

bool option_flag(const struct options *options, const char *name)
{
	for (int i = 0; i < options->count; i++)
		if (strcmp(options->words[i] + 2, name) == 0)
			return true;
	return false;
}

bool parse_number(const char *text, long long *number)
{
	*number = 0;
	size_t length = 0;
	for (; text[length] >= '0' && text[length] <= '9'; length++) {
		if (length == 15)
			return false;
		*number = *number * 10 + (text[length] - '0');
	}
	return length > 0 && text[length] == '\0';
}

long long option_number(const struct options *options, const char *key, long long least, long long otherwise)
{
	const char *text = option_text(options, key);
	long long number;
	if (!text)
		return otherwise;
	if (!parse_number(text, &number) || number < least)
		die(EXIT_LAUNCHER, "--%s=%s: a whole number of at least %lld is needed", key, text, least);
	return number;
}
