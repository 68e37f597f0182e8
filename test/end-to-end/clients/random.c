// Random and malformed ioctls from several processes at once: any command number, any bytes, any pointer.
// random SEED SECONDS; after each round prints the memory of the supervisor in KiB.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "iommufd.h"

enum { PROCESSES = 4, FILES = 8, PAGES = 32, PAGE = 4096, CALLS_BETWEEN_EXITS = 4000 };

static uint32_t state;
static uint8_t *memory;

static uint32_t any(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static uint32_t below(uint32_t limit) { return any() % limit; }

static uint64_t pointer(void)
{
	static const uint64_t critical[] = {0, 1, 8, PAGE - 1, 1ull << 47, (1ull << 47) - PAGE, 1ull << 63, -1ull, -8ull, -(uint64_t)PAGE};
	if (below(8) == 0)
		return critical[below(sizeof critical / sizeof *critical)];
	return (uintptr_t)memory + below(PAGES) * PAGE + (below(3) ? 0 : below(PAGE));
}

// A struct of 32-bit words that are small, of flags, or halves of a pointer.
static void fill(uint32_t *words, uint32_t number)
{
	static const uint32_t sizes[] = {8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80};
	static const uint32_t size_of[0x16] = {8, 12, 24, 40, 32, 40, 24, 24, 12, 48, 40, 16, 48, 32, 20, 48, 40, 24, 8, 32, 48, 40};
	for (int i = 1; i < 32; i++)
		words[i] = below(20) ? below(6) ? below(5) : 1u << below(32) : any();
	for (int i = 4 + below(2) * 2; i + 1 < 32; i += 2)
		if (below(2) == 0) {
			uint64_t address = below(2) ? pointer() : (uint64_t)below(PAGES) * PAGE;
			memcpy(&words[i], &address, sizeof address);
		}
	words[0] = number == 0xa0 ? 72 : number - 0x80 < 0x16 ? size_of[number - 0x80] : sizes[below(11)];
	if (number == 0xa0)
		words[1] = below(25);
	if (below(20) == 0)
		words[0] = below(2) ? any() : below(200);
}

// One process: opens, calls, closes, until it exits with everything open.
static void run(int seconds_left)
{
	static const char *const paths[] = {"/dev/iommu", "/dev/iommu", "/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/devices/vfio0"};
	int files[FILES];
	time_t end = time(0) + seconds_left;
	for (int i = 0; i < FILES; i++)
		files[i] = open(paths[below(5)], O_RDWR);
	for (int i = 0; i < CALLS_BETWEEN_EXITS && time(0) <= end; i++) {
		int file = below(FILES);
		if (below(200) == 0) {
			close(files[file]);
			files[file] = open(paths[below(5)], O_RDWR);
		}
		if (below(100) == 0) { // memory comes and goes while it may be pinned
			uint8_t *place = memory + below(PAGES) * PAGE;
			mmap(place, PAGE, below(4) ? PROT_READ | PROT_WRITE : below(2) ? PROT_READ : PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
		uint32_t number = below(30) ? below(5) ? 0x80 + below(0x16) : 0xa0 : below(256);
		uint32_t *words = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fill(words, number);
		// Fds that are handed out are few, so that those that are ours keep their numbers.
		int result = ioctl(files[file], below(40) ? COMMAND(number) : COMMAND(number) | any() << 16,
			below(30) ? (uintptr_t)words : pointer());
		(void)result;
		munmap(words, PAGE);
		if (i % 500 == 499)
			for (int fd = 3; fd < 400; fd++) {
				int ours = 0;
				for (int j = 0; j < FILES; j++)
					ours |= files[j] == fd;
				if (!ours)
					close(fd);
			}
	}
	_exit(0);
}

int main(int count, char **words)
{
	uint32_t seed = count > 1 ? atoi(words[1]) : 1;
	int seconds = count > 2 ? atoi(words[2]) : 5, rounds = 0;
	time_t end = time(0) + seconds;
	// What a call writes beyond its end must not be the C library's.
	memory = mmap(0, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
	mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE);
	while (time(0) < end) {
		pid_t children[PROCESSES];
		for (int i = 0; i < PROCESSES; i++) {
			state = ++seed * 2654435761u | 1;
			children[i] = fork();
			if (children[i] == 0)
				run(end - time(0));
		}
		for (int i = 0; i < PROCESSES; i++) {
			int status;
			waitpid(children[i], &status, 0);
			if (status != 0)
				printf("a process ended with status %x\n", status);
		}
		rounds++;
		// What the supervisor uses, which is our parent: "VmRSS:   123456 kB".
		char path[64], line[256];
		snprintf(path, sizeof path, "/proc/%d/status", getppid());
		FILE *file = fopen(path, "r");
		while (file && fgets(line, sizeof line, file))
			if (strncmp(line, "VmRSS:", 6) == 0)
				printf("round %d, %d\n", rounds, atoi(line + 6));
		if (file)
			fclose(file);
	}
	return 0;
}
