/* The parts of http://HOST:PORT/PATH. */
#ifndef URL_H
#define URL_H

#include <stdbool.h>

struct url {
	char host[256]; /* without the brackets of an IPv6 address; empty for the pod's own */
	char port[6];
	const char *path; /* with the query; at least "/" */
};

/* Returns false if the text is not a plain http URL. */
bool parse_url(const char *text, struct url *url);

#endif
