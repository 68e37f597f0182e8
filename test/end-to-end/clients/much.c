// Asks for much: much WHAT [NUMBER]... Each line that it prints is what was done, how many times or how it ended, and what the
// supervisor's process has in memory by then, in MiB.
#define _GNU_SOURCE
#include <sys/mman.h>
#include "vfio.h"

static int fd;
static char *memory;
static const uint64_t mib = 1 << 20, base = 1ull << 33;

static long resident_mib(void)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof path, "/proc/%d/status", getppid());
	FILE *status = fopen(path, "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "VmRSS: %ld", &kib);
	if (status)
		fclose(status);
	return kib / 1024;
}

static void say(const char *what, long number, const char *end)
{
	printf("%s %ld %s %ld\n", what, number, end, resident_mib());
	fflush(stdout);
}

static const char *name(int error)
{
	return error == 0 ? "ok" : strerrorname_np(error);
}

static uint32_t new_ioas(void)
{
	struct ioas_alloc alloc = {.size = sizeof alloc};
	return ioctl(fd, IOMMU_IOAS_ALLOC, &alloc) ? 0 : alloc.id;
}

static uint32_t with_domain(uint32_t ioas)
{
	struct attach attach = {.argsz = sizeof attach, .pt_id = ioas};
	require(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return ioas;
}

static int map(uint32_t ioas, void *from, uint64_t length, uint64_t iova)
{
	struct ioas_map map = {.size = sizeof map, .flags = READ_WRITE | 1, .ioas_id = ioas, .user_va = (uintptr_t)from,
		.length = length, .iova = iova};
	return ioctl(fd, IOMMU_IOAS_MAP, &map) ? errno : 0;
}

static int unmap_all(uint32_t ioas)
{
	struct ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = ioas, .length = UINT64_MAX};
	return ioctl(fd, IOMMU_IOAS_UNMAP, &unmap) ? errno : 0;
}

/** One mapping of so many GiB that nobody has touched, again and again, and once a small one. */
static void one_mapping(uint64_t gib, int times)
{
	uint32_t ioas = with_domain(new_ioas());
	char *all = mmap(0, gib << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		perror("mmap");
	for (int i = 0; i < times; i++) {
		say("map", gib, name(map(ioas, all, gib << 30, base)));
		say("unmap", gib, name(unmap_all(ioas)));
	}
	say("map again", 1, name(map(ioas, all, mib, base)));
}

/** As many areas of a page as there may be, up to a number. */
static void areas(uint64_t most, int domains)
{
	uint32_t ioas = new_ioas();
	uint64_t done = 0;
	int error = 0;
	if (domains)
		with_domain(ioas);
	while (done < most && !(error = map(ioas, memory, 4096, base + done * 8192)))
		done++;
	say("areas", done, name(error));
	say("unmap", done, name(unmap_all(ioas)));
	say("again", 1, name(map(ioas, memory, 4096, base)));
}

static void objects(uint64_t most)
{
	uint64_t done = 0;
	errno = 0;
	while (done < most && new_ioas())
		done++;
	say("objects", done, name(errno));
	close(device);
	close(fd);
	fd = open_device("/dev/vfio/devices/vfio0");
	say("again", 1, name(new_ioas() ? 0 : errno));
}

struct allow_iovas { uint32_t size, ioas_id, num_iovas, reserved; uint64_t allowed_iovas; };
#define IOMMU_IOAS_ALLOW_IOVAS COMMAND(0x82)

static void ranges(uint64_t count, int descending)
{
	uint64_t (*list)[2] = malloc(count * sizeof *list);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = descending ? count - i : i + 1;
		list[i][0] = at * 8192;
		list[i][1] = at * 8192 + 4095;
	}
	struct allow_iovas allow = {.size = sizeof allow, .ioas_id = new_ioas(), .num_iovas = count,
		.allowed_iovas = (uintptr_t)list};
	say("ranges", count, name(ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &allow) ? errno : 0));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t number = argc > 2 ? strtoull(argv[2], 0, 0) : 1;
	int other = argc > 3 ? atoi(argv[3]) : 1;

	fd = open_device("/dev/vfio/devices/vfio0");
	memory = mmap(0, mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(what, "mapping"))
		one_mapping(number, other);
	else if (!strcmp(what, "areas"))
		areas(number, other);
	else if (!strcmp(what, "objects"))
		objects(number);
	else if (!strcmp(what, "ranges"))
		ranges(number, other);
	else
		return 2;
	return 0;
}
