// Drives QEMU's educational device by loads and stores of its BAR, mapped. Prints what came of it, a line each.
// mapped DEVICE MODE [NUMBER...]
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "ioas.h"

enum { IDENTIFICATION = 0, LIVENESS = 4, FACTORIAL = 8, SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
#define OWN_MEMORY 0x40000
#define PAGE 4096UL
#define IOVA 0x100000UL

#define VFIO_DEVICE_FEATURE COMMAND(117)
enum { FEATURE_SET = 1 << 17, LOW_POWER_ENTRY = 3, LOW_POWER_EXIT = 5 };

static unsigned long bar_size = 1 << 20;
static volatile uint8_t *bar;

static inline uint32_t load(size_t at) { return *(volatile uint32_t *)(bar + at); }
static inline void store(size_t at, uint32_t value) { *(volatile uint32_t *)(bar + at) = value; }
static inline uint64_t load_wide(size_t at) { return *(volatile uint64_t *)(bar + at); }
static inline void store_wide(size_t at, uint64_t value) { *(volatile uint64_t *)(bar + at) = value; }

static void open_and_map(const char *path)
{
	iommu = open_device(path);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	bar = mmap(0, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED, device, REGION(BAR0));
	require(bar != MAP_FAILED, "mmap");
}

static char *attach_pages(void)
{
	attach_ioas();
	char *pages = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map(pages, IOVA, 2 * PAGE);
	return pages;
}

static void dma(uint64_t source, uint64_t destination, uint64_t direction)
{
	store_wide(SOURCE, source);
	store_wide(DESTINATION, destination);
	store_wide(COUNT, PAGE);
	store(START, 1 | direction);
	require(load(RESULT) == 0, "DMA");
}

static void copy(void)
{
	char *pages = attach_pages();
	printf("identification %x\n", load(IDENTIFICATION));
	store(FACTORIAL, 6);
	printf("6! is %u, by its file %lu\n", load(FACTORIAL), get(BAR0, FACTORIAL, 4));
	memset(pages, 'x', PAGE);
	dma(IOVA, OWN_MEMORY, 0);
	dma(OWN_MEMORY, IOVA + PAGE, 2);
	printf("copied: %s\n", memcmp(pages, pages + PAGE, PAGE) == 0 ? "yes" : "no");
	struct ioas_map map = {.size = sizeof map, .flags = 1 | READ_WRITE, .ioas_id = ioas,
		.user_va = (uintptr_t)bar, .length = PAGE, .iova = 2 * IOVA};
	printf("its registers as memory: %s\n", ioctl(iommu, IOMMU_IOAS_MAP, &map) == 0 ? "mapped" : strerror(errno));
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	printf("after a reset: factorial %x\n", load(FACTORIAL));
}

static int accesses;

/** Registers of 64 bits that nobody else uses, and one that answers with what was written to it. */
static void *access_often(void *argument)
{
	uint64_t number = (uintptr_t)argument;
	static const size_t own[] = {SOURCE, DESTINATION, COUNT, 0xa0};
	size_t at = own[number % 4] + number / 4 % 2 * 4;
	uintptr_t wrong = 0;
	for (int i = 0; i < accesses; i += 2) {
		uint32_t value = number << 24 | i;
		store(at, value);
		wrong += load(at) != value;
	}
	return (void *)wrong;
}

static uint64_t access_by(int threads)
{
	pthread_t all[64];
	uintptr_t wrong = 0, each;
	for (uintptr_t i = 0; i < (uintptr_t)threads; i++)
		require(pthread_create(&all[i], 0, access_often, (void *)i) == 0, "pthread_create");
	for (int i = 0; i < threads; i++) {
		pthread_join(all[i], (void **)&each);
		wrong += each;
	}
	return wrong;
}

static int exit_of(pid_t pid)
{
	int status;
	require(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/** A child, and its child, have what their parent has mapped. */
static void forks(void)
{
	int wrong = 0;
	for (int round = 0; round < 20; round++) {
		store(SOURCE, round);
		pid_t pid = fork();
		if (pid == 0) {
			int own = load(SOURCE) != (uint32_t)round;
			store(SOURCE, round + 1);
			pid_t grandchild = fork();
			if (grandchild == 0) {
				int third = load(SOURCE) != (uint32_t)round + 1;
				store(SOURCE, round + 2);
				_exit(third);
			}
			_exit(own + exit_of(grandchild));
		}
		wrong += exit_of(pid) + (load(SOURCE) != (uint32_t)round + 2);
	}
	printf("%d wrong\n", wrong);
}

static int becomes(size_t at, uint32_t value)
{
	for (int tries = 0; tries < 5000 && load(at) != value; tries++)
		usleep(1000);
	return load(at) == value;
}

/** For those whose accesses aren't heard of: it waits for what comes of each. */
static void patient(void)
{
	printf("identification %x\n", load(IDENTIFICATION));
	store(FACTORIAL, 6);
	printf("6! is 720: %s\n", becomes(FACTORIAL, 720) ? "yes" : "no");
	store(LIVENESS, 1);
	printf("it lives: %s\n", becomes(LIVENESS, ~1U) ? "yes" : "no");
}

static sigjmp_buf before;

static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	(void)context;
	siglongjmp(before, signal == SIGBUS && info->si_code == BUS_ADRERR ? 1 : 2);
}

static const char *attempt(size_t at)
{
	int caught = sigsetjmp(before, 1);
	if (caught)
		return caught == 1 ? "SIGBUS" : "another signal";
	static char text[16];
	snprintf(text, sizeof text, "%x", load(at));
	return text;
}

/** What is mapped while memory decoding is off, or after the device's file was closed. */
static void decoding(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &action, 0);
	store(LIVENESS, 1);
	set(CONFIG, COMMAND_REGISTER, 2, 0);
	printf("off: %s\n", attempt(LIVENESS));
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	printf("on: %s\n", attempt(LIVENESS));
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	printf("reset: %s\n", attempt(LIVENESS));
	store(LIVENESS, 2);
	close(device);
	printf("closed: %s\n", attempt(LIVENESS));
	close(iommu);
	printf("both: %s\n", attempt(LIVENESS));
}

/** The same of a page that isn't accessed exactly. */
static void doorbells(size_t at)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &action, 0);
	store(at, 7);
	for (int round = 0; round < 3; round++) {
		set(CONFIG, COMMAND_REGISTER, 2, 0);
		usleep(100000);
		printf("off: %s\n", attempt(at));
		set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
		printf("on: %s\n", attempt(at));
		store(at, round);
	}
}

static void sleeps(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &action, 0);
	struct { uint32_t argsz, flags; uint64_t reserved; } feature = {.argsz = sizeof feature, .flags = FEATURE_SET | LOW_POWER_ENTRY};
	require(ioctl(device, VFIO_DEVICE_FEATURE, &feature) == 0, "LOW_POWER_ENTRY");
	printf("asleep: %s, by its file %lx\n", attempt(IDENTIFICATION), get(BAR0, IDENTIFICATION, 4));
	feature.flags = FEATURE_SET | LOW_POWER_EXIT;
	feature.argsz = 8;
	require(ioctl(device, VFIO_DEVICE_FEATURE, &feature) == 0, "LOW_POWER_EXIT");
	printf("awake: %s\n", attempt(IDENTIFICATION));
}

static volatile int is_over;

static void *access_until_over(void *argument)
{
	uintptr_t wrong = 0, number = (uintptr_t)argument;
	for (uint32_t i = 0; !is_over; i++) {
		store(SOURCE + 4 * number, i);
		wrong += load(SOURCE + 4 * number) != i;
	}
	return (void *)wrong;
}

/** Mappings that take each other's place, while other threads access another one. */
static void remaps(void)
{
	char *other = mmap(0, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED, device, REGION(BAR0));
	pthread_t threads[2];
	for (uintptr_t i = 0; i < 2; i++)
		require(pthread_create(&threads[i], 0, access_until_over, (void *)i) == 0, "pthread_create");
	int wrong = 0;
	for (int i = 0; i < 50; i++) {
		other = mmap(other, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device, REGION(BAR0));
		require(other != MAP_FAILED, "mmap");
		wrong += *(volatile uint32_t *)other != 0x010000ed;
		require(munmap(other + PAGE, 2 * PAGE) == 0, "munmap");
		mmap(other, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		wrong += *(volatile uint32_t *)other != 0;
	}
	is_over = 1;
	uintptr_t each;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], (void **)&each);
		wrong += each;
	}
	printf("%d wrong\n", wrong);
}

static void *hammer(void *unused)
{
	for (;;) {
		store(LIVENESS, random());
		load(LIVENESS);
	}
	return unused;
}

static void killed(const char *path, int times)
{
	for (int i = 0; i < times; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			open_and_map(path);
			pthread_t thread;
			for (int j = 0; j < 2; j++)
				pthread_create(&thread, 0, hammer, 0);
			hammer(0);
		}
		usleep(2000 + random() % 20000);
		kill(pid, SIGKILL);
		waitpid(pid, 0, 0);
	}
	open_and_map(path);
	store(LIVENESS, 1);
	printf("after all: %x\n", load(LIVENESS));
}

static pthread_barrier_t turn;

static unsigned long times, wrong_resets;

/** Another thread, which knows the fd from the time before. */
static void *reset_each(void *unused)
{
	for (unsigned long i = 0; i < times; i++) {
		pthread_barrier_wait(&turn);
		wrong_resets += ioctl(device, VFIO_DEVICE_RESET) != 0;
		pthread_barrier_wait(&turn);
	}
	return unused;
}

/** The device is opened and mapped again, with the same fd. */
static void reopens(const char *path)
{
	pthread_t thread;
	pthread_barrier_init(&turn, 0, 2);
	pthread_create(&thread, 0, reset_each, 0);
	for (unsigned long i = 0; i < times; i++) {
		open_and_map(path);
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
		munmap((void *)bar, bar_size);
		close(device);
		close(iommu);
	}
	printf("%lu wrong\n", wrong_resets);
}

int main(int argc, char **argv)
{
	const char *path = argv[1], *mode = argc > 2 ? argv[2] : "copy";
	setvbuf(stdout, 0, _IOLBF, 0);
	if (strcmp(mode, "killed") == 0) {
		killed(path, atoi(argv[3]));
		return 0;
	}
	if (strcmp(mode, "reopens") == 0) {
		times = atoi(argv[3]);
		reopens(path);
		return 0;
	}
	if (strcmp(mode, "doorbells") == 0)
		bar_size = 2 * PAGE;
	if (strcmp(mode, "broken") == 0)
		bar_size = PAGE;
	open_and_map(path);
	if (strcmp(mode, "copy") == 0)
		copy();
	else if (strcmp(mode, "threads") == 0) {
		accesses = atoi(argv[4]);
		printf("%lu wrong\n", access_by(atoi(argv[3])));
	} else if (strcmp(mode, "forks") == 0)
		forks();
	else if (strcmp(mode, "decoding") == 0)
		decoding();
	else if (strcmp(mode, "doorbells") == 0)
		doorbells(2 * PAGE - 8);
	else if (strcmp(mode, "broken") == 0) {
		uint32_t first = load(atoi(argv[3]));
		printf("%x, and then %x\n", first, load(4));
	} else if (strcmp(mode, "sleeps") == 0)
		sleeps();
	else if (strcmp(mode, "remaps") == 0)
		remaps();
	else if (strcmp(mode, "patient") == 0)
		patient();
	else if (strcmp(mode, "nothing") == 0) {
		store(LIVENESS, 1);
		printf("%x, by its file %lx\n", load(LIVENESS), get(BAR0, LIVENESS, 4));
	} else if (strcmp(mode, "second") == 0) {
		const char *first = argv[3];
		pid_t pid = fork();
		if (pid == 0) {
			open_and_map(first);
			load(IDENTIFICATION);
			pause();
		}
		usleep(500000);
		forks();
		kill(pid, SIGKILL);
	} else if (strcmp(mode, "exec") == 0) {
		close(device);
		close(iommu);
		execl("/proc/self/exe", "mapped", path, "copy", (char *)0);
	}
	return 0;
}
