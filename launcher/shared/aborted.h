/* Mode supervise writes this, and mode run reads it. */
#ifndef ABORTED_H
#define ABORTED_H

/* In the status file in place of the code: CRIU ended before it resumed the tree, and no process of the tree lives. */
#define STATUS_ABORTED "aborted\n"

#endif
