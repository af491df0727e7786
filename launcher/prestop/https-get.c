/* The launcher has no TLS: the sidecar fetches the URL and reports the status. */
#include "shared/clock.h"
#include "prestop.h"
#include "shared/report.h"

#include <string.h>

/* Percent-encodes all but the unreserved characters (RFC 3986, 2.3). Returns false if the text does not fit. */
static bool encode(char *to, size_t size, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	static const char digits[] = "0123456789ABCDEF";
	size_t used = 0;
	for (; *text; text++) {
		if (used + 4 > size)
			return false;
		if (strchr(plain, *text)) {
			to[used++] = *text;
			continue;
		}
		to[used++] = '%';
		to[used++] = digits[(unsigned char)*text >> 4];
		to[used++] = digits[*text & 15];
	}
	to[used] = '\0';
	return true;
}

static bool write_request(char *line, size_t size, const struct options *options, const char *url)
{
	static const char verb[] = "fetch url=", key[] = " header=";
	const char *header;
	strcpy(line, verb);
	if (!encode(line + strlen(line), size - strlen(line), url))
		return false;
	for (int nth = 0; (header = option_nth(options, "header", nth)); nth++) {
		if (strlen(line) + sizeof key > size)
			return false;
		strcat(line, key);
		if (!encode(line + strlen(line), size - strlen(line), header))
			return false;
	}
	return true;
}

int https_get(const struct options *options, const char *url, struct wire *wire)
{
	char line[MESSAGE_SIZE - 1];
	struct message message;
	long long status;
	if (!wire_is_open(wire)) {
		warn("fetch %s for the preStop hook: https needs the sidecar, which cannot be reached", url);
		return 1;
	}
	if (!write_request(line, sizeof line, options, url)) {
		warn("fetch %s for the preStop hook: URL and headers are longer than %d bytes", url, MESSAGE_SIZE);
		return 1;
	}
	wire_say(wire, "%s", line);
	if (!prestop_hear(wire, now_ms() + HOOK_LONGEST_MS, &message) || strcmp(message.verb, "fetched") != 0 ||
	    !message_number(&message, "status", &status)) {
		warn("fetch %s for the preStop hook: the sidecar could not fetch it", url);
		return 1;
	}
	if (status < 200 || status >= 400)
		warn("%s answered the preStop hook with status %lld", url, status);
	return status >= 200 && status < 400 ? 0 : 1;
}
