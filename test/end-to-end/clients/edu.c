// Drives QEMU's educational device by its VFIO file: sizes its BAR, has it copy a page. Prints what it finds, a line each.
// edu DEVICE
#include <sys/mman.h>
#include <sys/uio.h>
#include "vfio.h"

enum { FIRST_BAR = 0x10 };
enum { IDENTIFICATION = 0, SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
#define OWN_MEMORY 0x40000
#define IOVA 0x100000

static void dma(uint64_t source, uint64_t destination, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, 4096);
	set(BAR0, START, 8, 1 | direction);
	require(get(BAR0, RESULT, 4) == 0, "DMA");
}

static void attach_pages(int iommu, char *pages)
{
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
	struct ioas_map map = {.size = sizeof map, .flags = 1 | READ_WRITE, .ioas_id = alloc.id,
		.user_va = (uintptr_t)pages, .length = 8192, .iova = IOVA};
	require(ioctl(iommu, IOMMU_IOAS_MAP, &map) == 0, "map");
	struct attach attach = {.argsz = sizeof attach, .pt_id = alloc.id};
	require(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attach");
}

int main(int argc, char **argv)
{
	(void)argc;
	char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	attach_pages(open_device(argv[1]), pages);

	uint16_t vendor, id;
	struct iovec ids[] = {{&vendor, 2}, {&id, 2}};
	require(preadv(device, ids, 2, REGION(CONFIG)) == 4, "preadv");
	printf("ids %04x:%04x\n", vendor, id);
	uint64_t address = get(CONFIG, FIRST_BAR, 4);
	set(CONFIG, FIRST_BAR, 4, 0xffffffff);
	uint32_t size = ~(get(CONFIG, FIRST_BAR, 4) & ~15UL) + 1;
	set(CONFIG, FIRST_BAR, 4, address);
	printf("BAR 0 has %u bytes, and its address is %s\n", size, get(CONFIG, FIRST_BAR, 4) == address ? "back" : "lost");

	set(CONFIG, COMMAND_REGISTER, 2, 0);
	uint32_t word;
	printf("without memory: %s\n", pread(device, &word, 4, REGION(BAR0)) == -1 ? strerror(errno) : "?");
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	printf("identification %lx\n", get(BAR0, IDENTIFICATION, 4));

	memset(pages, 'x', 4096);
	dma(IOVA, OWN_MEMORY, 0);
	dma(OWN_MEMORY, IOVA + 4096, 2);
	printf("copied: %s\n", memcmp(pages, pages + 4096, 4096) == 0 ? "yes" : "no");

	require(mmap(0, 4096, PROT_READ, MAP_SHARED, device, REGION(CONFIG)) == MAP_FAILED && errno == EINVAL, "mmap");
	require(mmap(0, size + 4096, PROT_READ, MAP_SHARED, device, REGION(BAR0)) == MAP_FAILED && errno == EINVAL, "mmap");
	require(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	printf("after a reset: source %lx\n", get(BAR0, SOURCE, 8));
	return 0;
}
