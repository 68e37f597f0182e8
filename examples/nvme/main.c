// A small NVMe client in user space: it finds a controller that VFIO has, and reads and writes its first namespace. It knows nothing of Ioasis:
//
//   cc -O2 -o nvme examples/nvme/*.c
//   ioasis run --machine intel -- ./nvme info
//
//   nvme [OPTIONS] info              who the controller is
//   nvme [OPTIONS] write FILE        a file onto the disk, from its first block on
//   nvme [OPTIONS] read FILE BYTES   so many bytes of the disk into a file
//   nvme [OPTIONS] random READS      random reads of 4 KiB: how long they take, and how many there are in a second
//
//   -d PATH     the device, "/dev/vfio/devices/vfio1"; without it the first NVMe controller
//   -i          waits for interrupts (an eventfd for each queue) instead of looking all the time
//   -q COUNT    I/O queues, which take turns; 1
//   -n COUNT    commands under way in each queue; 32
//
// device.c is about VFIO and iommufd, nvme.c about NVMe.
#include "nvme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NVME_CLASS = 0x010802 };

/** What one command under way has. */
struct slot {
	uint8_t *data;
	uint64_t iova;
	uint64_t *prp_list;
	uint64_t prp_list_iova;
	/** Of the file, when it is read or written. */
	uint64_t offset;
	uint32_t bytes;
	uint64_t began;
};

static struct nvme nvme;
static unsigned queues = 1, depth = 32;
static struct slot slots[MOST_QUEUES + 1][MOST_DEPTH];

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);
	errno = 0;
	require(*text != 0 && *end == 0, "%s is no number", text);
	return value;
}

static void make_slots(uint32_t bytes)
{
	for (unsigned queue = 1; queue <= queues; queue++)
		for (unsigned i = 0; i < depth; i++) {
			struct slot *slot = &slots[queue][i];
			slot->data = device_memory(&nvme.device, bytes, &slot->iova);
			slot->prp_list = device_memory(&nvme.device, PAGE_SIZE, &slot->prp_list_iova);
		}
}

/** Puts the command of a slot into its queue. The slot's number is the command's. */
static void start(struct queue *queue, unsigned index, uint8_t opcode, uint64_t offset, uint32_t bytes)
{
	struct slot *slot = &slots[queue->number][index];
	slot->offset = offset;
	slot->bytes = bytes;
	struct command command = nvm_command(&nvme, opcode, offset / nvme.block_size, bytes, slot->iova, slot->prp_list,
					     slot->prp_list_iova);
	command.id = (uint16_t)index;
	queue_put(queue, command);
}

static void check(const struct completion *completion)
{
	errno = 0;
	require(completion->status == 0, "command %u failed: status type %u, code 0x%x", completion->id,
		completion->status >> 8 & 7, completion->status & 0xff);
}

static void info(void)
{
	printf("%s, serial number %s\n", nvme.model, nvme.serial);
	printf("namespace 1: %llu blocks of %u bytes\n", (unsigned long long)nvme.blocks, nvme.block_size);
	printf("registers: %s\n", nvme.device.bar != NULL ? "mapped" : "by pread and pwrite");
}

// --- Files ---

/** A part of the file on its way: out of it before a write, into it after a read. The last block of it may be a part of one. */
static void move_file(int file, bool into_file, const struct slot *slot, uint64_t end)
{
	size_t bytes = slot->bytes;
	if (slot->offset + bytes > end)
		bytes = (size_t)(end - slot->offset);
	ssize_t done = into_file ? pwrite(file, slot->data, bytes, (off_t)slot->offset)
				 : pread(file, slot->data, bytes, (off_t)slot->offset);
	require(done == (ssize_t)bytes, "the file");
	memset(slot->data + bytes, 0, slot->bytes - bytes);
}

/** The disk's first bytes to or from a file, with all queues as full as can be. */
static void copy(int file, bool is_write, uint64_t end)
{
	uint32_t most = nvme.most_data;
	uint64_t next = 0;
	unsigned busy = 0;
	errno = 0;
	require(end <= nvme.blocks * nvme.block_size, "the disk has only %llu bytes",
		(unsigned long long)(nvme.blocks * nvme.block_size));
	make_slots(most);
	unsigned unused[MOST_QUEUES + 1] = {0};
	while (next < end || busy > 0)
		for (unsigned number = 1; number <= queues; number++) {
			struct queue *queue = &nvme.queues[number];
			struct completion completion;
			unsigned taken = 0, put = 0;
			unsigned free_slots[MOST_DEPTH];
			if (queue->busy == depth || (next >= end && queue->busy > 0))
				queue_wait(queue);
			while (taken < depth && queue_take(queue, &completion)) {
				check(&completion);
				if (!is_write)
					move_file(file, true, &slots[number][completion.id], end);
				free_slots[taken++] = completion.id;
			}
			if (taken > 0)
				queue_taken(queue);
			busy -= taken;
			while (next < end && (taken > 0 || unused[number] < depth)) {
				unsigned index = taken > 0 ? free_slots[--taken] : unused[number]++;
				uint64_t left = end - next;
				uint32_t bytes = left < most ? (uint32_t)left : most;
				bytes = (bytes + nvme.block_size - 1) / nvme.block_size * nvme.block_size;
				slots[number][index].offset = next;
				slots[number][index].bytes = bytes;
				if (is_write)
					move_file(file, false, &slots[number][index], end);
				start(queue, index, is_write ? NVM_WRITE : NVM_READ, next, bytes);
				next += bytes;
				put++;
				busy++;
			}
			if (put > 0)
				queue_ring(queue);
		}
	if (!is_write)
		return;
	struct queue *queue = &nvme.queues[1];
	struct completion completion;
	queue_put(queue, (struct command){.opcode = NVM_FLUSH, .namespace = 1});
	queue_ring(queue);
	do
		queue_wait(queue);
	while (!queue_take(queue, &completion));
	queue_taken(queue);
	check(&completion);
}

static void write_file(const char *path)
{
	int file = open(path, O_RDONLY);
	require(file >= 0, "%s", path);
	off_t end = lseek(file, 0, SEEK_END);
	require(end >= 0, "%s", path);
	copy(file, true, (uint64_t)end);
	close(file);
}

static void read_file(const char *path, uint64_t bytes)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	require(file >= 0, "%s", path);
	copy(file, false, bytes);
	require(close(file) == 0, "%s", path);
}

// --- Random reads ---

static uint64_t random_state = 88172645463325252;

static uint64_t random_offset(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % (nvme.blocks * nvme.block_size / PAGE_SIZE) * PAGE_SIZE;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static void random_reads(uint64_t wanted)
{
	uint64_t *times = calloc(wanted, sizeof *times);
	uint64_t started = 0, done = 0;
	require(times != NULL && wanted > 0, "memory for %llu times", (unsigned long long)wanted);
	make_slots(PAGE_SIZE);
	uint64_t begin = now();
	for (unsigned number = 1; number <= queues; number++) {
		struct queue *queue = &nvme.queues[number];
		for (unsigned i = 0; i < depth && started < wanted; i++, started++) {
			slots[number][i].began = now();
			start(queue, i, NVM_READ, random_offset(), PAGE_SIZE);
		}
		queue_ring(queue);
	}
	while (done < wanted)
		for (unsigned number = 1; number <= queues; number++) {
			struct queue *queue = &nvme.queues[number];
			struct completion completion;
			unsigned taken = 0, put = 0;
			if (queue->busy == 0)
				continue;
			queue_wait(queue);
			while (queue_take(queue, &completion)) {
				check(&completion);
				struct slot *slot = &slots[number][completion.id];
				uint64_t time = now();
				times[done++] = time - slot->began;
				taken++;
				if (started == wanted)
					continue;
				slot->began = time;
				start(queue, completion.id, NVM_READ, random_offset(), PAGE_SIZE);
				started++;
				put++;
			}
			if (taken > 0)
				queue_taken(queue);
			if (put > 0)
				queue_ring(queue);
		}
	double seconds = (double)(now() - begin) / 1e9;
	qsort(times, wanted, sizeof *times, compare);
	printf("%llu reads of 4 KiB, %u queues with %u under way in each: %.0f a second\n", (unsigned long long)wanted,
	       queues, depth, (double)wanted / seconds);
	printf("microseconds: least %.1f, median %.1f, 99%% below %.1f, most %.1f\n", (double)times[0] / 1e3,
	       (double)times[wanted / 2] / 1e3, (double)times[wanted * 99 / 100] / 1e3, (double)times[wanted - 1] / 1e3);
	free(times);
}

int main(int argc, char **argv)
{
	char found[256];
	const char *path = NULL;
	bool uses_interrupts = false;
	for (int option; (option = getopt(argc, argv, "d:iq:n:")) != -1;)
		switch (option) {
		case 'd': path = optarg; break;
		case 'i': uses_interrupts = true; break;
		case 'q': queues = (unsigned)number(optarg); break;
		case 'n': depth = (unsigned)number(optarg); break;
		default: return 2;
		}
	argv += optind;
	argc -= optind;
	bool is_known = (argc == 1 && strcmp(argv[0], "info") == 0) || (argc == 2 && strcmp(argv[0], "write") == 0) ||
			(argc == 3 && strcmp(argv[0], "read") == 0) || (argc == 2 && strcmp(argv[0], "random") == 0);
	if (!is_known || queues < 1 || queues > MOST_QUEUES || depth < 1 || depth > MOST_DEPTH - 1) {
		fprintf(stderr, "nvme [-d DEVICE] [-i] [-q QUEUES, up to %d] [-n COMMANDS, up to %d] "
				"info | write FILE | read FILE BYTES | random READS\n", MOST_QUEUES, MOST_DEPTH - 1);
		return 2;
	}
	if (path == NULL) {
		errno = 0;
		require(device_find(NVME_CLASS, found, sizeof found),
			"VFIO has no NVMe controller here; try `ioasis run --machine intel -- %s ...`", "nvme");
		path = found;
	}
	nvme_open(&nvme, path, queues, depth + 1, uses_interrupts);
	if (strcmp(argv[0], "info") == 0)
		info();
	else if (strcmp(argv[0], "write") == 0)
		write_file(argv[1]);
	else if (strcmp(argv[0], "read") == 0)
		read_file(argv[1], number(argv[2]));
	else
		random_reads(number(argv[1]));
	nvme_close(&nvme);
	return 0;
}
