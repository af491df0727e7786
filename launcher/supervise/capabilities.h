#ifndef CAPABILITIES_H
#define CAPABILITIES_H

/* Drops every capability for good. Warns of each that it cannot drop. */
void drop_capabilities(void);

#endif
