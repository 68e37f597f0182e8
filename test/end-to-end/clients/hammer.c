// Eight threads and four forked children use one fd of /dev/iommu at the same time, each with objects of its own.
// hammer [ROUNDS]; prints how many calls were made, and exits with 1 at the first answer that is wrong.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "iommufd.h"

enum { THREADS = 8, CHILDREN = 4, CALLS_A_ROUND = 7 };
static int fd, rounds = 200;

static void call(const char *name, unsigned long command, void *argument)
{
	if (ioctl(fd, command, argument) == 0)
		return;
	perror(name);
	exit(1);
}

static void *work(void *unused)
{
	char *memory = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)unused;
	for (int i = 0; i < rounds; i++) {
		struct ioas_alloc alloc = {.size = sizeof alloc};
		call("IOAS_ALLOC", IOMMU_IOAS_ALLOC, &alloc);
		struct test_command mock = {.size = sizeof mock, .op = TEST_MOCK_DOMAIN, .id = alloc.id};
		call("MOCK_DOMAIN", IOMMU_TEST_CMD, &mock);
		struct ioas_map map = {.size = sizeof map, .flags = READ_WRITE, .ioas_id = alloc.id,
			.user_va = (uintptr_t)memory, .length = 1 << 16};
		call("IOAS_MAP", IOMMU_IOAS_MAP, &map);
		struct ioas_map second = map;
		call("IOAS_MAP", IOMMU_IOAS_MAP, &second);
		struct ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = alloc.id, .iova = map.iova, .length = 1 << 16};
		call("IOAS_UNMAP", IOMMU_IOAS_UNMAP, &unmap);
		if (unmap.length != 1 << 16 || second.iova == map.iova) {
			fprintf(stderr, "another thread's answer\n");
			exit(1);
		}
		struct destroy device = {.size = sizeof device, .id = mock.mock.stdev_id};
		call("DESTROY", IOMMU_DESTROY, &device);
		if (i % 2 == 0) { // the other half is left for the end
			struct destroy ioas = {.size = sizeof ioas, .id = alloc.id};
			call("DESTROY", IOMMU_DESTROY, &ioas);
		}
	}
	munmap(memory, 1 << 16);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int wrong = 0, status;

	if (argc > 1)
		rounds = atoi(argv[1]);
	fd = open("/dev/iommu", O_RDWR);
	if (fd < 0) {
		perror("/dev/iommu");
		return 1;
	}
	for (int i = 0; i < CHILDREN; i++)
		if (fork() == 0) {
			work(0);
			_exit(0);
		}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], 0, work, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], 0);
	for (int i = 0; i < CHILDREN; i++) {
		wait(&status);
		wrong |= status;
	}
	printf("%d calls\n", (THREADS + CHILDREN) * rounds * CALLS_A_ROUND - (THREADS + CHILDREN) * rounds / 2);
	return wrong != 0;
}
