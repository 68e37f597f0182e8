// Maps a page, unmaps it and destroys everything, and does one of several things when a call fails.
// errors careful|crash|exit|hang|leak
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "iommufd.h"

static const char *habit;

static int failed(const char *what)
{
	if (!strcmp(habit, "hang"))
		for (;;)
			pause();
	fprintf(stderr, "%s failed\n", what);
	return 1;
}

int main(int count, char **words)
{
	habit = count > 1 ? words[1] : "careful";
	int fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		return failed("open");
	struct ioas_alloc alloc = {.size = sizeof alloc};
	if (ioctl(fd, IOMMU_IOAS_ALLOC, &alloc))
		return failed("IOAS_ALLOC");
	int result = 0;
	char *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioas_map map = {.size = sizeof map, .flags = READ_WRITE, .ioas_id = alloc.id,
		.user_va = (uintptr_t)memory, .length = 4096};
	if (ioctl(fd, IOMMU_IOAS_MAP, &map)) {
		if (!strcmp(habit, "crash"))
			*(volatile char *)0 = 1;
		result = failed("IOAS_MAP");
		if (!strcmp(habit, "exit"))
			return result;
		if (!strcmp(habit, "leak")) // It goes on, and forgets what it has.
			return ioctl(fd, IOMMU_IOAS_ALLOC, &alloc), result;
	} else {
		struct ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = alloc.id, .iova = map.iova, .length = 4096};
		if (ioctl(fd, IOMMU_IOAS_UNMAP, &unmap)) // May fail to find the IOAS, and then may do it again.
			result = failed("IOAS_UNMAP") || ioctl(fd, IOMMU_IOAS_UNMAP, &unmap);
	}
	struct destroy destroy = {.size = sizeof destroy, .id = alloc.id};
	if (ioctl(fd, IOMMU_DESTROY, &destroy))
		return failed("DESTROY");
	return result;
}
