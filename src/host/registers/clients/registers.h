// /dev/registers as src/host/testing/register-machine.testing.ts has it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define BAR0_PAGES 5
// Pages of BAR 0.
#define REGISTERS (0 * PAGE)
#define KEPT (1 * PAGE)
#define DOORBELLS (2 * PAGE)
#define MEMORY (3 * PAGE)
#define KEPT_TOO (4 * PAGE)
#define BAR2 (1ul << 40)
#define BAR2_LENGTH (1ul << 21)

// Registers.
#define COUNTER 0x00
#define SUM 0x08
#define WRITES 0x10
#define WATCHED 0x18
#define UNKNOWN 0x20
#define EXACT_AGAIN 0x28
#define DECODING_OFF 0x30

#define CHECK(condition)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                    \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			exit(1);                                                                           \
		}                                                                                      \
	} while (0)

static inline int open_registers(void)
{
	int fd = open("/dev/registers", O_RDWR);
	CHECK(fd >= 0);
	return fd;
}

static inline volatile uint8_t *map_at(int fd, unsigned long offset, unsigned long length, int protection)
{
	void *address = mmap(NULL, length, protection, MAP_SHARED, fd, offset);
	CHECK(address != MAP_FAILED);
	return address;
}

static inline volatile uint8_t *map_bar0(int fd)
{
	return map_at(fd, 0, BAR0_PAGES * PAGE, PROT_READ | PROT_WRITE);
}

static inline uint32_t load32(volatile uint8_t *at) { return *(volatile uint32_t *)at; }
static inline void store32(volatile uint8_t *at, uint32_t value) { *(volatile uint32_t *)at = value; }
static inline uint64_t load64(volatile uint8_t *at) { return *(volatile uint64_t *)at; }
static inline void store64(volatile uint8_t *at, uint64_t value) { *(volatile uint64_t *)at = value; }
