// A program and a function that a vfio-user server is: examples/vfio-user/copier.c. Prints what came of it, a line each.
// vfio_user copies DEVICE SERVER_PID [slow] | interrupts DEVICE | mapped DEVICE | use DEVICE
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "ioas.h"

/** The copier's registers, of 8 bytes, and its commands. */
enum { SOURCE = 0x08, DESTINATION = 0x10, LENGTH = 0x18, COMMAND_WORD = 0x20, STATUS = 0x28, SCRATCH = 0x30, FILES = 0x38, MAPS = 0x40 };
enum { START = 1, INTERRUPT = 2, READ_BY_MESSAGE = 4, WRITE_BY_MESSAGE = 8 };
enum { BAR2 = 2, MSIX = 2, VECTORS = 4 };
#define PAGE 4096UL
#define SIZE (64 * PAGE)
#define OWN 0x100000UL
#define SHARED 0x40000000UL

/** @returns 0, or the errno that the copier met */
static uint64_t copy(uint64_t source, uint64_t destination, uint64_t length, uint64_t flags)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, LENGTH, 8, length);
	set(BAR0, COMMAND_WORD, 8, START | flags);
	return get(BAR0, STATUS, 8);
}

/** Whether a process has some file mapped. */
static int has_mapped(const char *process, const char *name)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%s/maps", process);
	FILE *maps = fopen(path, "r");
	int found = 0;
	require(maps != NULL, path);
	while (fgets(line, sizeof line, maps))
		found |= strstr(line, name) != NULL;
	fclose(maps);
	return found;
}

static volatile int is_unmapped;

/** @returns how many calls were answered until the memory had been unmapped, as a pointer */
static void *call_meanwhile(void *unused)
{
	intptr_t calls = 0;
	struct ioas_alloc alloc = {.size = sizeof alloc};
	struct destroy destroy = {.size = sizeof destroy};
	for (; !is_unmapped; calls++) {
		require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
		destroy.id = alloc.id;
		require(ioctl(iommu, IOMMU_DESTROY, &destroy) == 0, "destroy");
	}
	return (void *)calls;
}

/** Memory that the server has for its own, and memory that it asks for: there and back in each way. */
static void copies(const char *server, int is_slow)
{
	static const char *names[] = {"as mapped", "read by message", "written by message", "by messages"};
	uint8_t *own = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int memfd = memfd_create("for-the-copier", 0);
	require(ftruncate(memfd, 2 * SIZE) == 0, "ftruncate");
	uint8_t *shared = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, SIZE);
	attach_ioas();
	map(own, OWN, SIZE);
	map(shared, SHARED, SIZE);
	for (uint64_t flags = 0; flags <= (READ_BY_MESSAGE | WRITE_BY_MESSAGE); flags += READ_BY_MESSAGE) {
		int wrong = 0;
		for (int round = 0; round < 100; round++) {
			uint64_t length = 1 + random() % (8 * PAGE), from = random() % (SIZE - length), to = random() % (SIZE - length - 1);
			int is_out = round % 2;
			uint8_t *source = is_out ? own : shared, *destination = is_out ? shared : own;
			for (uint64_t i = 0; i < length; i++)
				source[from + i] = round * 7 + i * 3;
			destination[to + length] = 0x55;
			wrong += copy((is_out ? OWN : SHARED) + from, (is_out ? SHARED : OWN) + to, length, flags) != 0;
			wrong += memcmp(source + from, destination + to, length) != 0 || destination[to + length] != 0x55;
		}
		printf("%s: %d wrong\n", names[flags / READ_BY_MESSAGE], wrong);
	}
	printf("maps: %lu, files: %lu, mapped by the server: %d\n", get(BAR0, MAPS, 8), get(BAR0, FILES, 8), has_mapped(server, "for-the-copier"));
	pthread_t thread;
	void *calls;
	pthread_create(&thread, 0, call_meanwhile, 0);
	unmap(SHARED, SIZE);
	is_unmapped = 1;
	pthread_join(thread, &calls);
	if (is_slow)
		printf("others were answered: %d\n", (intptr_t)calls > 10);
	printf("unmapped; mapped by the server: %d\n", has_mapped(server, "for-the-copier"));
	printf("maps: %lu, a copy there: %s\n", get(BAR0, MAPS, 8), strerror(copy(OWN, SHARED, 8, 0)));
	set(CONFIG, COMMAND_REGISTER, 2, 2);
	printf("without bus mastering: %s\n", strerror(copy(OWN, OWN + PAGE, 8, 0)));
	struct attach detach = {.argsz = sizeof detach};
	require(ioctl(device, COMMAND(120), &detach) == 0, "detach");
	printf("detached, maps: %lu\n", get(BAR0, MAPS, 8));
}

static void set_irqs(uint32_t index, uint32_t flags, uint32_t start, uint32_t count, int fd)
{
	struct irq_set set = {.argsz = sizeof set, .flags = flags, .index = index, .start = start, .count = count, .fd = fd};
	require(ioctl(device, VFIO_DEVICE_SET_IRQS, &set) == 0, "set_irqs");
}

static int is_signalled(int fd, int milliseconds)
{
	uint64_t count;
	struct pollfd polled = {fd, POLLIN, 0};
	return poll(&polled, 1, milliseconds) == 1 && read(fd, &count, sizeof count) == sizeof count;
}

static void interrupts(void)
{
	int fds[VECTORS], pin = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < VECTORS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	set_irqs(MSIX, DATA_EVENTFD | TRIGGER, 0, 1, fds[0]);
	set_irqs(MSIX, DATA_EVENTFD | TRIGGER, 3, 1, fds[3]);
	for (int vector = 0; vector < VECTORS; vector += 3) {
		copy(0, 0, 0, INTERRUPT | vector << 8);
		printf("vector %d: %d\n", vector, is_signalled(fds[vector], 10000));
	}
	set_irqs(MSIX, DATA_NONE | TRIGGER, 0, 0, 0);
	set_irqs(INTX, DATA_EVENTFD | TRIGGER, 0, 1, pin);
	copy(0, 0, 0, INTERRUPT);
	printf("pin: %d\n", is_signalled(pin, 10000));
	printf("a vector that is off: %d\n", is_signalled(fds[0], 0));
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	printf("reset: %lu\n", get(BAR0, LENGTH, 8));
	set(BAR2, 8, 4, 0x12345678);
	printf("memory: %lx\n", get(BAR2, 8, 4));
}

/** Registers by loads and stores, each after something else that the server has to know of. */
static void mapped(void)
{
	volatile uint64_t *registers = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, REGION(BAR0));
	volatile uint32_t *memory = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, REGION(BAR2));
	uint8_t *own = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int wrong = 0;
	require((void *)registers != MAP_FAILED && (void *)memory != MAP_FAILED, "mmap");
	attach_ioas();
	for (int round = 0; round < 20; round++) {
		memset(own, round + 1, 8 * PAGE);
		memset(own + 8 * PAGE, 0, 8 * PAGE);
		map(own, OWN, SIZE);
		registers[SOURCE / 8] = OWN;
		registers[DESTINATION / 8] = OWN + 8 * PAGE;
		registers[LENGTH / 8] = 8 * PAGE;
		registers[COMMAND_WORD / 8] = START;
		wrong += registers[STATUS / 8] != 0 || own[16 * PAGE - 1] != round + 1;
		unmap(OWN, SIZE);
		registers[COMMAND_WORD / 8] = START;
		wrong += registers[STATUS / 8] != EFAULT || registers[MAPS / 8] != 0;
		memory[round] = round;
		wrong += memory[round] != round;
	}
	printf("%d wrong\n", wrong);
}

/** Uses a device until it isn't there any more. */
static void use_until_gone(const char *path)
{
	uint8_t *own = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *shared = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_create("shared", 0), 0);
	iommu = open_device(path);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	attach_ioas();
	map(own, OWN, SIZE);
	int fd = eventfd(0, EFD_NONBLOCK);
	set_irqs(MSIX, DATA_EVENTFD | TRIGGER, 0, 1, fd);
	puts("goes on");
	while (copy(OWN, OWN + 8 * PAGE, 4 * PAGE, INTERRUPT) != UINT64_MAX) {
		map(shared, SHARED, SIZE);
		copy(OWN, OWN + 8 * PAGE, 4 * PAGE, 0);
		unmap(SHARED, SIZE);
	}
	unmap(OWN, SIZE);
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	puts("gone");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	require(argc > 2, "vfio_user MODE DEVICE");
	if (strcmp(argv[1], "use") == 0) {
		use_until_gone(argv[2]);
		return 0;
	}
	iommu = open_device(argv[2]);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	if (strcmp(argv[1], "copies") == 0)
		copies(argv[3], argc > 4);
	else if (strcmp(argv[1], "mapped") == 0)
		mapped();
	else
		interrupts();
	return 0;
}
