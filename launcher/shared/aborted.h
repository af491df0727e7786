/* What the modes supervise and run agree on, besides the wire. */
#ifndef ABORTED_H
#define ABORTED_H

/* In the status file, in the code's place: CRIU was ended before it let the tree go on, and no process of the tree lives. */
#define STATUS_ABORTED "aborted\n"

#endif
