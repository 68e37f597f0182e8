// The least that a read of a disk in memory can take: a bell is rung by a store to shared memory, another thread, which does nothing but
// look at it, copies 4 KiB from a random place to where they are wanted, and says that it has by a store of its own.
//   doorbell READS DEPTH     prints the median and the mean in nanoseconds: of a read from its bell to its end, and of all reads by their number
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, DISK_PAGES = 16384, MOST_DEPTH = 256 };

static uint8_t *disk, *buffers;
static uint32_t asked[MOST_DEPTH];
static uint64_t began[MOST_DEPTH];
/** How many reads have been asked for, and how many are done. */
static _Alignas(64) atomic_ulong bell;
static _Alignas(64) atomic_ulong done;
static unsigned long reads, depth;

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint32_t next_random(void)
{
	static uint32_t state = 2463534242;
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void *device(void *unused)
{
	(void)unused;
	for (unsigned long at = 0; at < reads;) {
		unsigned long until = atomic_load_explicit(&bell, memory_order_acquire);
		for (; at < until; at++) {
			unsigned long slot = at % depth;
			memcpy(buffers + slot * PAGE, disk + (size_t)asked[slot] * PAGE, PAGE);
			atomic_store_explicit(&done, at + 1, memory_order_release);
		}
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	reads = strtoul(argv[1], NULL, 0);
	depth = strtoul(argv[2], NULL, 0);
	disk = malloc((size_t)DISK_PAGES * PAGE);
	buffers = malloc(MOST_DEPTH * PAGE);
	uint64_t *times = malloc(reads * sizeof *times);
	if (depth < 1 || depth > MOST_DEPTH || disk == NULL || buffers == NULL || times == NULL)
		return 2;
	memset(disk, 1, (size_t)DISK_PAGES * PAGE);
	memset(buffers, 1, MOST_DEPTH * PAGE);
	pthread_t thread;
	if (pthread_create(&thread, NULL, device, NULL) != 0)
		return 2;
	uint64_t begin = now();
	unsigned long started = 0, taken = 0;
	while (taken < reads) {
		unsigned long before = started;
		for (; started < reads && started < taken + depth; started++) {
			asked[started % depth] = next_random() % DISK_PAGES;
			began[started % depth] = now();
		}
		if (started != before)
			atomic_store_explicit(&bell, started, memory_order_release);
		unsigned long until = atomic_load_explicit(&done, memory_order_acquire);
		uint64_t time = now();
		for (; taken < until; taken++)
			times[taken] = time - began[taken % depth];
	}
	uint64_t all = now() - begin;
	pthread_join(thread, NULL);
	qsort(times, reads, sizeof *times, compare);
	printf("%llu %.1f\n", (unsigned long long)times[reads / 2], (double)all / (double)reads);
	return 0;
}
