// Starts a client again and again, and kills it in the middle of its ioctls.
// killed [TIMES]; prints how many fds the supervisor has before and after.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "iommufd.h"

static void hammer(void)
{
	char *memory = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;;) {
		int fd = open("/dev/iommu", O_RDWR);
		struct ioas_alloc alloc = {.size = sizeof alloc};
		ioctl(fd, IOMMU_IOAS_ALLOC, &alloc);
		for (int i = 0; i < 20; i++) {
			struct test_command mock = {.size = sizeof mock, .op = TEST_MOCK_DOMAIN, .id = alloc.id};
			struct ioas_map map = {.size = sizeof map, .flags = READ_WRITE, .ioas_id = alloc.id,
				.user_va = (uintptr_t)memory, .length = 1 << 20};
			ioctl(fd, IOMMU_TEST_CMD, &mock);
			ioctl(fd, IOMMU_IOAS_MAP, &map);
		}
		close(fd);
	}
}

static int fds_of(pid_t pid)
{
	char path[64];
	int count = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	DIR *directory = opendir(path);
	if (!directory)
		return -1;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 200;
	int warm = open("/dev/iommu", O_RDWR), before = 0;

	if (warm < 0) {
		perror("/dev/iommu");
		return 1;
	}
	for (int i = 0; i < times; i++) {
		pid_t child = fork();
		if (child == 0)
			hammer();
		usleep(i * 37 % 5000);
		kill(child, SIGKILL);
		waitpid(child, 0, 0);
		if (i == times / 10) { // what is kept for reuse is there by now
			close(open("/dev/iommu", O_RDWR));
			before = fds_of(getppid());
		}
	}
	close(open("/dev/iommu", O_RDWR)); // has the supervisor look after what was closed
	printf("%d fds before, %d after\n", before, fds_of(getppid()));
	return 0;
}
