// A driver of QEMU's educational device with a bug. Which one is its second argument; it prints which of its calls is to blame.
// dma_errors DEVICE BUG
#include <sys/mman.h>
#include "ioas.h"

enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98 };
#define OWN_MEMORY 0x40000
#define IOVA 0x100000ULL
#define PAGE 4096
#define VFIO_DEVICE_DETACH_IOMMUFD_PT COMMAND(120)

struct detach { uint32_t argsz, flags; };

// The device writes 256 bytes to an IOVA, or reads them from there.
static void dma(uint64_t iova, int writes)
{
	set(BAR0, SOURCE, 8, writes ? OWN_MEMORY : iova);
	set(BAR0, DESTINATION, 8, writes ? iova : OWN_MEMORY);
	set(BAR0, COUNT, 8, 256);
	set(BAR0, START, 8, writes ? 3 : 1);
	while (get(BAR0, START, 8) & 1)
		;
}

int main(int argc, char **argv)
{
	const char *bug = argc > 2 ? argv[2] : "";
	char *page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	iommu = open_device(argv[1]);
	attach_ioas();
	map(page, IOVA, PAGE);
	map_as(4 /* READABLE */, page, IOVA + 0x8000, PAGE);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	dma(IOVA, 1);

	if (strcmp(bug, "not mapped") == 0)
		dma(IOVA + 0x4000, 0);
	else if (strcmp(bug, "unmapped") == 0) {
		unmap(IOVA, PAGE);
		dma(IOVA + 16, 1);
	} else if (strcmp(bug, "past the end") == 0)
		dma(IOVA + 4000, 1);
	else if (strcmp(bug, "no permission") == 0)
		dma(IOVA + 0x8000, 1);
	else if (strcmp(bug, "bus master off") == 0) {
		set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER & ~4);
		dma(IOVA, 0);
	} else if (strcmp(bug, "not attached") == 0) {
		struct detach detach = {.argsz = sizeof detach};
		require(ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) == 0, "detach");
		dma(IOVA, 0);
	} else if (strcmp(bug, "no memory") == 0) {
		require(munmap(page, PAGE) == 0, "munmap");
		dma(IOVA, 1);
	} else if (strcmp(bug, "mapped again") == 0) {
		// Another page is there by now: no error, and the history of the first one is none of its.
		unmap(IOVA, PAGE);
		map(page, IOVA, PAGE);
		dma(IOVA, 1);
	}
	return 0;
}
