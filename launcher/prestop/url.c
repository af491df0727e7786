#include "url.h"

#include <stddef.h>
#include <string.h>

/* Copies the part up to `end`. Returns false if it is too long. */
static bool copy(char *to, size_t size, const char *from, const char *end)
{
	size_t length = (size_t)(end - from);
	if (length >= size)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

/* RFC 3986, 3.2: the authority ends at the first of `/`, `?` and `#`. */
bool parse_url(const char *text, struct url *url)
{
	if (strncmp(text, "http://", 7) != 0)
		return false;
	const char *host = text + 7, *end = host + strcspn(host, "/?#"), *host_end, *colon;
	if (*host == '[') {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return false;
		colon = host_end + 1;
	} else {
		colon = memchr(host, ':', (size_t)(end - host));
		host_end = colon = colon ? colon : end;
	}
	url->path = *end == '/' ? end : "/";
	if (!copy(url->host, sizeof url->host, host, host_end))
		return false;
	strcpy(url->port, "80");
	if (colon == end)
		return true;
	return *colon == ':' && colon + 1 < end && strspn(colon + 1, "0123456789") == (size_t)(end - colon - 1) &&
	       copy(url->port, sizeof url->port, colon + 1, end);
}
