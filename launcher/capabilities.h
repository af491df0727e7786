#ifndef CAPABILITIES_H
#define CAPABILITIES_H

/* Gives up every capability, for good; warns of what it could not give up. */
void drop_capabilities(void);

#endif
