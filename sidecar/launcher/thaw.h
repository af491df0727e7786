/* Letting go what a sidecar that died left frozen. */
#ifndef THAW_H
#define THAW_H

/* What the marks below the folder name, and the marks with it; says so, and says why where it cannot. */
void thaw_left_frozen(const char *run);

#endif
