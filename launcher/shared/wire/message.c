/* Parses the lines of the protocol: a verb, then key=value pairs, with one space between. */
#include "wire.h"
#include "shared/options.h"

#include <string.h>

/* Visible ASCII and the space. */
static bool is_plain(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

static bool split(struct message *message)
{
	char *rest = NULL;
	message->count = 0;
	message->verb = strtok_r(message->line, " ", &rest);
	if (!message->verb)
		return false;
	for (char *pair; (pair = strtok_r(NULL, " ", &rest));) {
		if (message->count == MESSAGE_PAIRS || !strchr(pair, '='))
			return false;
		message->pairs[message->count++] = pair;
	}
	return true;
}

enum arrival wire_next(struct wire *wire, struct message *message)
{
	if (!wire_is_open(wire))
		return ARRIVED_NOTHING;
	char *feed = memchr(wire->in, '\n', wire->in_used);
	if (!feed) {
		/* Too long for a message, or cut off within one. */
		bool never = wire->in_used == sizeof wire->in || (wire->ended && wire->in_used > 0);
		return never ? ARRIVED_GARBAGE : ARRIVED_NOTHING;
	}
	size_t length = (size_t)(feed - wire->in);
	memcpy(message->line, wire->in, length);
	message->line[length] = '\0';
	wire->in_used -= length + 1;
	memmove(wire->in, feed + 1, wire->in_used);
	return is_plain(message->line, length) && split(message) ? ARRIVED_MESSAGE : ARRIVED_GARBAGE;
}

const char *message_text(const struct message *message, const char *key)
{
	size_t length = strlen(key);
	for (int i = 0; i < message->count; i++)
		if (strncmp(message->pairs[i], key, length) == 0 && message->pairs[i][length] == '=')
			return message->pairs[i] + length + 1;
	return NULL;
}

bool message_number(const struct message *message, const char *key, long long *number)
{
	const char *text = message_text(message, key);
	return text && parse_number(text, number);
}
