#include "pod-address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A link-local address (169.254/16, fe80::/10) is not the pod's. */
static bool is_global(const struct ifaddrs *entry)
{
	if (!entry->ifa_addr || entry->ifa_flags & IFF_LOOPBACK || !(entry->ifa_flags & IFF_UP))
		return false;
	if (entry->ifa_addr->sa_family == AF_INET) {
		const struct sockaddr_in *address = (const struct sockaddr_in *)entry->ifa_addr;
		return ntohl(address->sin_addr.s_addr) >> 16 != 0xa9fe;
	}
	if (entry->ifa_addr->sa_family == AF_INET6)
		return !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr);
	return false;
}

bool pod_address(char *text, size_t size)
{
	struct ifaddrs *list;
	bool found = false;
	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *entry = list; entry && !found; entry = entry->ifa_next) {
		if (!is_global(entry))
			continue;
		socklen_t length = entry->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) :
									   sizeof(struct sockaddr_in6);
		found = getnameinfo(entry->ifa_addr, length, text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0;
	}
	freeifaddrs(list);
	return found;
}
