// killed TIMES: starts a process that accesses registers in three threads, and kills it in the middle. Prints "good" when nothing is left.
// killed self: accesses them itself, and is killed.
#include "registers.h"
#include <dirent.h>

static volatile uint8_t *bar;

static void *access_for_ever(void *argument)
{
	(void)argument;
	for (;;)
		store64(bar + SUM, load32(bar + COUNTER));
	return NULL;
}

/** How many fds our parent, who serves us, has for something. */
static int fds_of_parent(const char *what)
{
	char path[64], link[512], target[256];
	snprintf(path, sizeof path, "/proc/%d/fd", getppid());
	DIR *directory = opendir(path);
	CHECK(directory);
	int count = 0;
	for (struct dirent *entry; (entry = readdir(directory));) {
		snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
		ssize_t length = readlink(link, target, sizeof target - 1);
		if (length > 0)
			target[length] = 0, count += strstr(target, what) != NULL;
	}
	closedir(directory);
	return count;
}

int main(int count, char **words)
{
	int times = count > 1 ? atoi(words[1]) : 10;
	int fd = open_registers();
	bar = map_bar0(fd);
	load32(bar); // ours is there
	if (count > 1 && strcmp(words[1], "self") == 0) {
		pthread_t thread;
		for (int i = 0; i < 3; i++)
			pthread_create(&thread, NULL, access_for_ever, NULL);
		usleep(20000);
		kill(getpid(), SIGKILL);
	}
	int userfaultfds = fds_of_parent("userfaultfd"), pidfds = fds_of_parent("pidfd");
	CHECK(userfaultfds == 1);
	srand(getpid());
	for (int i = 0; i < times; i++) {
		int ready[2];
		CHECK(pipe(ready) == 0);
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			if (i % 2)
				bar = map_bar0(fd);
			CHECK(write(ready[1], "x", 1) == 1);
			pthread_t thread;
			pthread_create(&thread, NULL, access_for_ever, NULL);
			pthread_create(&thread, NULL, access_for_ever, NULL);
			access_for_ever(NULL);
		}
		char byte;
		if (i % 4)
			CHECK(read(ready[0], &byte, 1) == 1);
		usleep(rand() % 3000);
		kill(child, SIGKILL);
		int status;
		CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		close(ready[0]), close(ready[1]);
		uint32_t now = load32(bar + COUNTER);
		CHECK(load32(bar + COUNTER) == now + 1);
	}
	for (int i = 0; i < 1000 && fds_of_parent("userfaultfd") > userfaultfds; i++)
		usleep(1000);
	CHECK(fds_of_parent("userfaultfd") == userfaultfds);
	CHECK(fds_of_parent("pidfd") == pidfds);
	puts("good");
	return 0;
}
