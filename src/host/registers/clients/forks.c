// What children have of their parents' registers, and programs of those before them. Prints "good".
#include "registers.h"
#include <linux/sched.h>
#include <sched.h>
#include <spawn.h>

static volatile uint8_t *bar;

/** Accesses that a child makes, while its parent makes others. */
static int count_exactly(int times)
{
	for (int i = 0; i < times; i++) {
		uint32_t before = load32(bar + COUNTER);
		store64(bar + SUM, 1);
		if (load32(bar + COUNTER) <= before)
			return 1;
	}
	return 0;
}

static void expect_success(pid_t child)
{
	int status;
	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int in_clone(void *argument)
{
	return count_exactly(*(int *)argument);
}

int main(int count, char **words)
{
	if (count > 1) // after an exec
		bar = map_bar0(atoi(words[1]));
	if (count > 1)
		return count_exactly(20);
	int fd = open_registers(), times = 50;
	bar = map_bar0(fd);
	uint64_t sum = load64(bar + SUM);

	// fork, and a fork of that
	pid_t child = fork();
	if (child == 0) {
		CHECK(count_exactly(times) == 0);
		pid_t grandchild = fork();
		if (grandchild == 0)
			_exit(count_exactly(times));
		CHECK(count_exactly(times) == 0);
		expect_success(grandchild);
		_exit(0);
	}
	CHECK(count_exactly(times) == 0);
	expect_success(child);
	CHECK(load64(bar + SUM) == sum + 4 * times);

	// The system call itself, vfork, clone with and without memory of its own, clone3
	child = syscall(SYS_fork);
	if (child == 0)
		_exit(count_exactly(times));
	expect_success(child);
	child = vfork();
	if (child == 0)
		_exit(count_exactly(times));
	expect_success(child);
	static char stack[65536] __attribute__((aligned(64)));
	expect_success(clone(in_clone, stack + sizeof stack, SIGCHLD, &times));
	expect_success(clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, &times));
	struct clone_args arguments = {.exit_signal = SIGCHLD};
	child = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (child == 0)
		_exit(count_exactly(times));
	expect_success(child);
	CHECK(load64(bar + SUM) == sum + 9 * times);

	// A child that maps by itself; one that unmaps; the parent's stay.
	child = fork();
	if (child == 0) {
		munmap((void *)bar, BAR0_PAGES * PAGE);
		bar = map_bar0(fd);
		_exit(count_exactly(times));
	}
	expect_success(child);
	CHECK(count_exactly(times) == 0);

	// exec: nothing is left of the mapping, and it can be made anew.
	char number[16];
	snprintf(number, sizeof number, "%d", fd);
	char *const again[] = {words[0], number, NULL};
	expect_success(({ pid_t pid; posix_spawn(&pid, words[0], NULL, NULL, again, NULL) ? -1 : pid; }));
	child = fork();
	if (child == 0) {
		CHECK(count_exactly(3) == 0);
		execv(words[0], again);
		_exit(9);
	}
	expect_success(child);

	// A fork that fails
	arguments.flags = CLONE_THREAD;
	CHECK(syscall(SYS_clone3, &arguments, sizeof arguments) == -1 && errno == EINVAL);
	CHECK(count_exactly(3) == 0);

	// Doorbells of a child, also after they have gone to sleep
	child = fork();
	if (child == 0) {
		usleep(20000);
		store32(bar + DOORBELLS + 64, 4711);
		while (load32(bar + MEMORY + 64) != 4711);
		_exit(0);
	}
	expect_success(child);
	CHECK(load32(bar + WATCHED) == 0);
	puts("good");
	return 0;
}
