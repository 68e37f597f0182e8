// What the memory itself takes for what the engine does with page tables; prints nanoseconds, the best of many turns.
//   table fill                     stores 256 entries in a row
//   table pass ENTRIES             reads a table of so many entries once, and clears a bit in those that have it
//   table walk PAGES COUNT         looks up COUNT random pages of PAGES in a radix tree of four levels; per look-up. Which page
//                                  comes next depends on what was found, so that every load waits for the one before
//   table nested PAGES COUNT       the same through two trees: each of the first one's tables, and what comes out, goes through
//                                  the second
//   table cached PAGES COUNT       one load from an array, and what comes out goes through the second
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t entry;

#define PRESENT 1
#define DIRTY 64
#define ITEMS 512
#define LEVELS 4

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void *zeroed(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) & -4096ul);
	if (!memory)
		exit(2);
	return memset(memory, 0, bytes);
}

static double fill(void)
{
	enum { ENTRIES = 1 << 18, RUN = 256 };
	volatile entry *table = zeroed(ENTRIES * sizeof(entry));
	double best = 1e18;
	for (int turn = 0; turn < 100; turn++) {
		double start = now();
		for (long at = 0; at < ENTRIES; at += RUN) {
			entry value = (entry)at << 12 | PRESENT;
			for (long n = 0; n < RUN; n++, value += 4096)
				table[at + n] = value;
		}
		double each = (now() - start) / (ENTRIES / RUN);
		if (each < best)
			best = each;
	}
	return best;
}

static double pass(long entries)
{
	entry *table = zeroed(entries * sizeof(entry));
	for (long n = 0; n < entries; n++)
		table[n] = (entry)n << 12 | PRESENT;
	double best = 1e18;
	volatile long found;
	for (int turn = 0; turn < 5; turn++) {
		for (long n = 0; n < entries; n += 100)
			table[n] |= DIRTY;
		double start = now();
		long dirty = 0;
		for (long n = 0; n < entries; n++)
			if (table[n] & DIRTY) {
				table[n] &= ~(entry)DIRTY;
				dirty++;
			}
		found = dirty;
		double each = now() - start;
		if (each < best)
			best = each;
	}
	(void)found;
	return best;
}

// Pages map to pages in another order, so that what is found depends on every load.
static uint64_t scatter(uint64_t page, long pages)
{
	return (page * 0x9e3779b1u) & (pages - 1);
}

// A tree for pages 0 to pages - 1, a power of two. Entries are addresses.
static entry *build(long pages, char *(*place)(uint64_t page))
{
	entry *top = zeroed(4096);
	for (long page = 0; page < pages; page++) {
		entry *table = top;
		for (int level = LEVELS - 1; level > 0; level--) {
			entry *item = &table[(page >> (9 * level)) % ITEMS];
			if (!*item)
				*item = (entry)zeroed(4096) | PRESENT;
			table = (entry *)(*item & ~0xffful);
		}
		table[page % ITEMS] = (entry)place(page) | PRESENT;
	}
	return top;
}

static inline entry walk(const entry *table, uint64_t page)
{
	for (int level = LEVELS - 1; level > 0; level--)
		table = (const entry *)(table[(page >> (9 * level)) % ITEMS] & ~0xffful);
	return table[page % ITEMS];
}

// Nothing, but only the processor that has read `found` knows that: no address has this bit.
static inline uint64_t after(entry found)
{
	return found >> 63;
}

static long data_pages;
static char *place_of_data(uint64_t page)
{
	return (char *)(scatter(page, data_pages) << 12);
}

// The memory of a guest, and the page tables in it: entries of guest-physical pages, tables from the page `data_pages` on.
static char *guest_memory;
static long guest_pages;
static char *place_in_guest(uint64_t page)
{
	return guest_memory + (page << 12);
}

static uint64_t build_guest_tables(long pages)
{
	uint64_t next = pages, root = next++;
	for (long page = 0; page < pages; page++) {
		uint64_t table = root;
		for (int level = LEVELS - 1; level > 0; level--) {
			entry *item = (entry *)(guest_memory + (table << 12)) + (page >> (9 * level)) % ITEMS;
			if (!*item)
				*item = next++ << 12 | PRESENT;
			table = *item >> 12;
		}
		((entry *)(guest_memory + (table << 12)))[page % ITEMS] = scatter(page, pages) << 12 | PRESENT;
	}
	return root;
}

static uint64_t *random_pages(long pages, long count)
{
	uint64_t *all = zeroed(count * sizeof *all);
	uint64_t state = 88172645463325252ul;
	for (long n = 0; n < count; n++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		all[n] = state & (pages - 1);
	}
	return all;
}

static double look_up(const char *mode, long pages, long count)
{
	uint64_t *asked = random_pages(pages, count);
	entry *tree, *cache = NULL;
	uint64_t root = 0;
	if (!strcmp(mode, "walk")) {
		data_pages = pages;
		tree = build(pages, place_of_data);
	} else {
		guest_pages = 1;
		while (guest_pages < pages + pages / ITEMS + 16)
			guest_pages *= 2;
		guest_memory = zeroed(guest_pages << 12);
		root = build_guest_tables(pages);
		tree = build(guest_pages, place_in_guest);
		cache = zeroed(pages * sizeof *cache);
		for (long page = 0; page < pages; page++)
			cache[page] = scatter(page, pages);
	}
	double best = 1e18;
	volatile entry result;
	for (int turn = 0; turn < 5; turn++) {
		entry sum = 0;
		double start = now();
		if (!strcmp(mode, "walk"))
			for (long n = 0; n < count; n++)
				sum = walk(tree, asked[n] ^ after(sum));
		else if (!strcmp(mode, "cached"))
			for (long n = 0; n < count; n++)
				sum = walk(tree, cache[asked[n] ^ after(sum)]);
		else
			for (long n = 0; n < count; n++) {
				uint64_t page = root, wanted = asked[n] ^ after(sum);
				for (int level = LEVELS - 1; level >= 0; level--) {
					const entry *table = (const entry *)(walk(tree, page) & ~0xffful);
					page = table[(wanted >> (9 * level)) % ITEMS] >> 12;
				}
				sum = walk(tree, page);
			}
		double each = (now() - start) / count;
		result = sum;
		if (each < best)
			best = each;
	}
	(void)result;
	return best;
}

int main(int argc, char **argv)
{
	double result = -1;
	if (argc == 2 && !strcmp(argv[1], "fill"))
		result = fill();
	else if (argc == 3 && !strcmp(argv[1], "pass"))
		result = pass(atol(argv[2]));
	else if (argc == 4)
		result = look_up(argv[1], atol(argv[2]), atol(argv[3]));
	else
		return 2;
	printf("%.4f\n", result);
	return 0;
}
