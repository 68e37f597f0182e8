// How long accesses to mapped registers take.
//   registers floor N ROUNDS    in front of the least that makes them: one thread that is told of each fault by a userfaultfd, stops the
//                               other with ptrace(2), makes the access of the two instructions that it knows, and lets go of it
//   registers exact N ROUNDS    in front of /dev/registers
// Each prints, a line per round: nanoseconds per store, and per load.
//   registers bell-floor N ROUNDS, registers bell N ROUNDS: nanoseconds for a store to a page that is looked at, and its answer in another
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define KEPT PAGE
#define DOORBELLS (2 * PAGE)
#define MEMORY (3 * PAGE)
#define WARM 3000

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void store(volatile uint32_t *at, uint32_t value) { asm volatile("movl %%eax, (%%rdx)" : : "a"(value), "d"(at) : "memory"); }
static uint32_t load(volatile uint32_t *at)
{
	uint32_t value;
	asm volatile("movl (%%rdx), %%eax" : "=a"(value) : "d"(at) : "memory");
	return value;
}

static void measure_exact(volatile uint32_t *at, int accesses, int rounds)
{
	for (int i = 0; i < WARM; i++)
		store(at, i), load(at);
	while (rounds--) {
		double start = now();
		for (int i = 0; i < accesses; i++)
			store(at, i);
		double between = now();
		uint32_t value = accesses - 1;
		for (int i = 0; i < accesses; i++)
			if (load(at) != value)
				exit(2);
		printf("%.0f %.0f\n", (between - start) / accesses, (now() - between) / accesses);
	}
}

static void measure_bell(volatile uint32_t *bell, volatile uint32_t *answer, int accesses, int rounds)
{
	uint32_t value = *answer;
	for (int i = 0; i < 20 * WARM; i++) {
		*bell = ++value;
		while (*answer != value);
	}
	while (rounds--) {
		double start = now();
		for (int i = 0; i < accesses; i++) {
			*bell = ++value;
			while (*answer != value);
		}
		printf("%.1f\n", (now() - start) / accesses);
	}
}

/** A system call of a thread that stands behind one. */
static long inject(int thread, long number, long argument)
{
	struct user_regs_struct saved, registers;
	int status;
	ptrace(PTRACE_GETREGS, thread, 0, &saved);
	registers = saved;
	registers.rip -= 2, registers.rax = number, registers.orig_rax = -1, registers.rdi = argument;
	ptrace(PTRACE_SETREGS, thread, 0, &registers);
	for (int i = 0; i < 2; i++)
		ptrace(PTRACE_SYSCALL, thread, 0, 0), waitpid(thread, &status, __WALL);
	ptrace(PTRACE_GETREGS, thread, 0, &registers);
	ptrace(PTRACE_SETREGS, thread, 0, &saved);
	return registers.rax;
}

static void serve_exactly(int client, void *page, volatile uint32_t *go)
{
	int status;
	must(ptrace(PTRACE_SEIZE, client, 0, PTRACE_O_TRACESYSGOOD) == 0, "seize");
	ptrace(PTRACE_INTERRUPT, client, 0, 0), waitpid(client, &status, __WALL);
	for (int i = 0; i < 2; i++)
		ptrace(PTRACE_SYSCALL, client, 0, 0), waitpid(client, &status, __WALL);
	long theirs = inject(client, SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	int fd = syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, client, 0), (int)theirs, 0);
	must(fd >= 0, "pidfd_getfd");
	inject(client, SYS_close, theirs);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM};
	must(ioctl(fd, UFFDIO_API, &api) == 0, "UFFDIO_API");
	struct uffdio_register range = {.range = {(long)page, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR};
	must(ioctl(fd, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
	ptrace(PTRACE_DETACH, client, 0, 0);
	*go = 1;
	uint32_t held = 0;
	struct uffd_msg message;
	while (read(fd, &message, sizeof message) == sizeof message) {
		int thread = message.arg.pagefault.feat.ptid;
		if (ptrace(PTRACE_SEIZE, thread, 0, 0))
			continue;
		ptrace(PTRACE_INTERRUPT, thread, 0, 0);
		waitpid(thread, &status, __WALL);
		struct user_regs_struct registers;
		ptrace(PTRACE_GETREGS, thread, 0, &registers);
		uint8_t code[15];
		struct iovec here = {code, sizeof code}, there = {(void *)registers.rip, sizeof code};
		process_vm_readv(thread, &here, 1, &there, 1, 0);
		if (code[0] == 0x89 && code[1] == 0x02)
			held = registers.rax;
		else if (code[0] == 0x8b && code[1] == 0x02)
			registers.rax = held;
		else
			exit(3);
		registers.rip += 2;
		ptrace(PTRACE_SETREGS, thread, 0, &registers);
		ptrace(PTRACE_DETACH, thread, 0, 0);
	}
}

static void floor_exact(int accesses, int rounds)
{
	int fd = memfd_create("registers", 0);
	must(ftruncate(fd, PAGE) == 0, "ftruncate");
	volatile uint32_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile uint32_t *go = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int device = getpid(), client = fork();
	if (client == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!*go)
			syscall(SYS_getppid);
		measure_exact(page, accesses, rounds);
		fflush(stdout);
		kill(device, SIGKILL);
		_exit(0);
	}
	serve_exactly(client, (void *)page, go);
}

static void floor_bell(int accesses, int rounds)
{
	volatile uint32_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int device = fork();
	if (device == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		uint32_t seen = 0;
		for (;;) {
			uint32_t value = __atomic_load_n(pages, __ATOMIC_ACQUIRE);
			if (value != seen)
				__atomic_store_n(pages + PAGE / 4, seen = value, __ATOMIC_RELEASE);
		}
	}
	measure_bell(pages, pages + PAGE / 4, accesses, rounds);
	kill(device, SIGKILL);
}

int main(int count, char **words)
{
	must(count == 4, "usage");
	int accesses = atoi(words[2]), rounds = atoi(words[3]);
	if (strcmp(words[1], "floor") == 0) {
		// The device ends by a signal, so that it is no child of whoever waits for the numbers.
		int child = fork();
		if (child == 0)
			floor_exact(accesses, rounds);
		waitpid(child, NULL, 0);
		return 0;
	}
	if (strcmp(words[1], "bell-floor") == 0)
		return floor_bell(accesses, rounds), 0;
	int fd = open("/dev/registers", O_RDWR);
	must(fd >= 0, "/dev/registers");
	volatile uint8_t *bar = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(bar != MAP_FAILED, "mmap");
	if (strcmp(words[1], "exact") == 0)
		measure_exact((volatile uint32_t *)(bar + KEPT), accesses, rounds);
	else
		measure_bell((volatile uint32_t *)(bar + DOORBELLS), (volatile uint32_t *)(bar + MEMORY), accesses, rounds);
	return 0;
}
