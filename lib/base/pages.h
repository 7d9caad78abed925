/*
 * Large memory that is there from the start: packet buffers, flow tables.
 *
 * In huge pages where any are reserved, else in transparent ones where the kernel gives them, else in small ones. Every
 * page is present: the packet path must not fault, and the first touch of a page costs more than all that is done with it
 * later, most of all in virtual machines. For control, at start.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* `bytes` (> 0) of zeroed memory of this process alone, at a multiple of 2 MB. NULL with errno set when there is not as much. */
void *pages_map(size_t bytes);
/* `memory`, `bytes` as they were for pages_map(). */
void pages_unmap(void *memory, size_t bytes);

/* Brings in the pages of memory that somebody else mapped, all in one go: at their first touch, one by one, they take several
 * times as long. What they hold stays or is zero. 0, or -1 with errno set. */
int pages_touch(void *memory, size_t bytes);

#endif
