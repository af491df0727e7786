/* Says which C library and linkage it runs with, by what it can see of itself: its dynamic linker, if it has one. */
#include <stdio.h>
#include <string.h>

int main(void) {
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "re");
  const char *linkage = "static";
  while (maps && fgets(line, sizeof line, maps))
    if (strstr(line, "libc.musl") || strstr(line, "ld-musl")) linkage = "musl";
  printf("hello from a %s program\n", linkage);
  return 0;
}
