// Registers that are watched, because accesses can't be heard of: what is stored gets there in time, and what they hold can be loaded.
// watched: the program is traced, or the like, from the start. watched traced: for a while only, by a child. watched filtered: it has
// a filter of its own. Prints "good".
#include "registers.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static volatile uint8_t *bar;

static void expect_soon(unsigned long offset, uint32_t value)
{
	for (int i = 0; load32(bar + offset) != value; i++) {
		CHECK(i < 20000);
		if (i > 1000)
			usleep(500);
	}
}

static void access_watched(void)
{
	// From a sum on that is no value to be stored: who loads that knows that it was taken.
	uint32_t writes = load32(bar + WRITES);
	store32(bar + SUM, 5);
	expect_soon(WRITES, writes + 1);
	uint32_t sum = load32(bar + SUM);
	CHECK(sum >= 5);
	for (uint32_t i = 1; i <= 300; i++) {
		store32(bar + SUM, 1000000 + i);
		sum += 1000000 + i;
		expect_soon(SUM, sum);
	}
	store32(bar + KEPT + 12, 99);
	store32(bar + KEPT_TOO + 4092, 98);
	CHECK(load32(bar + KEPT + 12) == 99 && load32(bar + KEPT_TOO + 4092) == 98);
	usleep(30000); // until it is looked at less often
	store32(bar + DOORBELLS + 8, 4711);
	expect_soon(MEMORY + 8, 4711);
	usleep(30000);
	store32(bar + DOORBELLS + 8, 4712);
	expect_soon(MEMORY + 8, 4712);
}

int main(int count, char **words)
{
	int fd = open_registers();
	if (count > 1 && strcmp(words[1], "filtered") == 0) {
		struct sock_filter filter[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog program = {4, filter};
		CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	}
	bar = map_bar0(fd);
	if (count > 1 && strcmp(words[1], "traced") == 0) {
		int to[2], from[2];
		char byte;
		CHECK(pipe(to) == 0 && pipe(from) == 0);
		uint32_t counter = load32(bar);
		CHECK(load32(bar) == counter + 1);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		pid_t child = fork();
		if (child == 0) {
			// Its fork is being registered yet.
			while (ptrace(PTRACE_SEIZE, getppid(), 0, 0) != 0)
				CHECK(errno == EPERM);
			CHECK(write(from[1], "x", 1) == 1 && read(to[0], &byte, 1) == 1);
			_exit(0); // it isn't traced any more
		}
		CHECK(read(from[0], &byte, 1) == 1);
		access_watched();
		CHECK(load32(bar + WATCHED) > 0);
		CHECK(write(to[1], "x", 1) == 1 && waitpid(child, NULL, 0) == child);
		expect_soon(EXACT_AGAIN, 1);
		counter = load32(bar);
		for (int i = 1; i < 100; i++)
			CHECK(load32(bar) == counter + i);
		CHECK(load32(bar + KEPT + 12) == 99);
	} else {
		access_watched();
		CHECK(load32(bar + WATCHED) > 0);
	}
	puts("good");
	return 0;
}
