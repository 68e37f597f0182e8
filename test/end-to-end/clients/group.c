// Drives QEMU's educational device by its group's file: puts the group into a container, maps memory there, has the device copy a page.
// group GROUP ADDRESS CONTAINER, which is /dev/vfio/vfio or /dev/iommu. Prints what it finds, a line each.
// group GROUP ADDRESS CONTAINER OTHER-GROUP OTHER-ADDRESS: the device reaches another one's registers, which the program has mapped.
#include <sys/mman.h>
#include "vfio.h"

enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
enum { TYPE1v2 = 3, VIABLE = 1 };
#define OWN_MEMORY 0x40000
#define IOVA 0x100000

#define VFIO_SET_IOMMU COMMAND(102)
#define VFIO_GROUP_GET_STATUS COMMAND(103)
#define VFIO_GROUP_SET_CONTAINER COMMAND(104)
#define VFIO_GROUP_UNSET_CONTAINER COMMAND(105)
#define VFIO_GROUP_GET_DEVICE_FD COMMAND(106)
#define VFIO_IOMMU_MAP_DMA COMMAND(113)
#define VFIO_IOMMU_UNMAP_DMA COMMAND(114)

struct status { uint32_t argsz, flags; };
struct map { uint32_t argsz, flags; uint64_t vaddr, iova, size; };
struct unmap { uint32_t argsz, flags; uint64_t iova, size; };

static const char *answer(int result)
{
	return result >= 0 ? "yes" : strerror(errno);
}

static void dma(uint64_t source, uint64_t destination, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, 4096);
	set(BAR0, START, 8, 1 | direction);
}

static int open_member(int container, const char *path, const char *address, int is_first)
{
	int group = open(path, O_RDWR);
	require(group >= 0 && ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "set container");
	if (is_first)
		require(ioctl(container, VFIO_SET_IOMMU, TYPE1v2) == 0, "set iommu");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	require(device >= 0, "device");
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	return device;
}

static void word(uint64_t source, uint64_t destination, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, 4);
	set(BAR0, START, 8, 1 | direction);
	require(get(BAR0, RESULT, 4) == 0, "DMA");
}

/** Type 1 maps what a program has mapped of a device for other devices. */
static void peers(char **argv)
{
	enum { LIVENESS = 4, REGISTERS = 2 * IOVA };
	int container = open(argv[3], O_RDWR);
	int first = open_member(container, argv[1], argv[2], 1), second = open_member(container, argv[4], argv[5], 0);
	volatile uint32_t *bar = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, second, REGION(BAR0));
	uint32_t *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(bar != MAP_FAILED, "mmap");
	struct map memory = {.argsz = sizeof memory, .flags = 3, .vaddr = (uintptr_t)page, .iova = IOVA, .size = 4096};
	struct map registers = {.argsz = sizeof registers, .flags = 3, .vaddr = (uintptr_t)bar, .iova = REGISTERS, .size = 4096};
	require(ioctl(container, VFIO_IOMMU_MAP_DMA, &memory) == 0, "map");
	require(ioctl(container, VFIO_IOMMU_MAP_DMA, &registers) == 0, "map of registers");
	device = first;
	*page = 0x1234;
	word(IOVA, OWN_MEMORY, 0);
	word(OWN_MEMORY, REGISTERS + LIVENESS, 2);
	printf("written: %x\n", ~bar[LIVENESS / 4]);
	bar[LIVENESS / 4] = 0x5678;
	word(REGISTERS + LIVENESS, OWN_MEMORY, 0);
	word(OWN_MEMORY, IOVA, 2);
	printf("read: %x\n", ~*page);
}

int main(int argc, char **argv)
{
	if (argc > 5) {
		peers(argv);
		return 0;
	}
	char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int container = open(argv[3], O_RDWR), group = open(argv[1], O_RDWR);
	require(container >= 0 && group >= 0, "open");
	printf("a second open: %s\n", answer(open(argv[1], O_RDWR)));
	struct status status = {.argsz = sizeof status};
	require(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0, "status");
	printf("viable: %s\n", status.flags == VIABLE ? "yes" : "no");
	printf("a device before there is a container: %s\n", answer(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2])));
	require(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "set container");
	require(ioctl(container, VFIO_SET_IOMMU, TYPE1v2) == 0, "set iommu");
	struct map map = {.argsz = sizeof map, .flags = 3, .vaddr = (uintptr_t)pages, .iova = IOVA, .size = 8192};
	require(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "map");
	printf("mapped twice: %s\n", answer(ioctl(container, VFIO_IOMMU_MAP_DMA, &map)));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	require(device >= 0, "device");
	printf("another device: %s\n", answer(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:77:00.0")));

	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	memset(pages, 'x', 4096);
	dma(IOVA, OWN_MEMORY, 0);
	dma(OWN_MEMORY, IOVA + 4096, 2);
	printf("copied: %s\n", memcmp(pages, pages + 4096, 4096) == 0 ? "yes" : "no");

	struct unmap unmap = {.argsz = sizeof unmap, .iova = IOVA, .size = 8192};
	printf("the container is taken away: %s\n", answer(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)));
	require(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "unmap");
	printf("unmapped: %s\n", unmap.size == 8192 ? "all" : "?");
	memset(pages, 'y', 8192);
	dma(OWN_MEMORY, IOVA + 4096, 2);
	printf("written after that: %s\n", pages[4096] == 'y' ? "no" : "yes");
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	close(device);
	printf("and without a device: %s\n", answer(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)));
	return 0;
}
