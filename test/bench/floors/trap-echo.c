// The least that a supervisor can do for one trapped ioctl: receive it, copy the struct in, add one to a word of it, copy it
// out, answer. What Ioasis takes more than this is Ioasis's own.
//   trap-echo PROGRAM ARGS...
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

// Linux 6.6: the one who answers gives its processor to the one who asked.
#define SET_FLAGS SECCOMP_IOW(4, __u64)
#define SYNC_WAKE_UP 1UL

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

// Traps the ioctls that Ioasis traps. Returns the listener.
static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ';' << 8, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no_new_privs");
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0)
		fail("seccomp");
	return listener;
}

// As many bytes as the command's struct has: no caller of ours has memory behind it that may be written.
static size_t struct_size(uint32_t command)
{
	switch (command & 0xff) {
	case 0x85: return 40; // IOAS_MAP
	case 0x86: return 24; // IOAS_UNMAP
	default: return 12; // IOAS_ALLOC
	}
}

static void echo(int listener)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp answer;
	for (;;) {
		memset(&call, 0, sizeof call);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
			if (errno == EINTR)
				continue;
			return; // Nobody is left.
		}
		uint32_t words[10];
		struct iovec ours = { words, struct_size(call.data.args[1]) };
		struct iovec theirs = { (void *)call.data.args[2], ours.iov_len };
		process_vm_readv(call.pid, &ours, 1, &theirs, 1, 0);
		words[2]++;
		process_vm_writev(call.pid, &ours, 1, &theirs, 1, 0);
		memset(&answer, 0, sizeof answer);
		answer.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

int main(int argc, char **argv)
{
	int numbers[2];
	if (argc < 2 || pipe(numbers))
		fail("usage: trap-echo PROGRAM ARGS...");
	// The child shares our fds until it starts the program, so that its listener is ours, too.
	pid_t child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		fail("clone");
	if (child == 0) {
		int listener = install_filter();
		if (write(numbers[1], &listener, sizeof listener) < 0)
			fail("write");
		execvp(argv[1], argv + 1);
		fail(argv[1]);
	}
	int listener, status = 0;
	if (read(numbers[0], &listener, sizeof listener) != sizeof listener)
		fail("read");
	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
	echo(listener);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
