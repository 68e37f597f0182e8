// Has a device without an IOMMU copy a page by physical addresses, which IOMMU_IOAS_NOIOMMU_GET_PA tells. A line for each
// thing that it finds.
// noiommu DEVICE
#include <sys/mman.h>
#include "vfio.h"

enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
#define OWN_MEMORY 0x40000
#define IOVA 0x100000
#define PAGE 4096

struct get_pa { uint32_t size, flags, ioas_id, reserved; uint64_t iova, length, phys; };
#define IOMMU_IOAS_NOIOMMU_GET_PA COMMAND(0x95)

/** @returns how it ended: 0 if all of it was copied */
static uint64_t dma(uint64_t source, uint64_t destination, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, PAGE);
	set(BAR0, START, 8, 1 | direction);
	return get(BAR0, RESULT, 4);
}

int main(int argc, char **argv)
{
	(void)argc;
	char *pages = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int iommu = open_device(argv[1]);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
	struct ioas_map map = {.size = sizeof map, .flags = 1 | READ_WRITE, .ioas_id = alloc.id,
		.user_va = (uintptr_t)pages, .length = 2 * PAGE, .iova = IOVA};
	require(ioctl(iommu, IOMMU_IOAS_MAP, &map) == 0, "map");
	struct get_pa from = {.size = sizeof from, .ioas_id = alloc.id, .iova = IOVA, .length = PAGE};
	struct get_pa to = {.size = sizeof to, .ioas_id = alloc.id, .iova = IOVA + PAGE, .length = 16 * PAGE};
	printf("not attached: %s\n", ioctl(iommu, IOMMU_IOAS_NOIOMMU_GET_PA, &from) == -1 ? strerror(errno) : "?");
	struct attach attach = {.argsz = sizeof attach, .pt_id = alloc.id};
	require(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attach");
	require(ioctl(iommu, IOMMU_IOAS_NOIOMMU_GET_PA, &from) == 0, "where the first page is");
	require(ioctl(iommu, IOMMU_IOAS_NOIOMMU_GET_PA, &to) == 0, "where the second page is");
	printf("the second page: %lu bytes side by side\n", to.length);

	memset(pages, 'x', PAGE);
	printf("by its IOVA: %s\n", dma(IOVA, OWN_MEMORY, 0) == 0 ? "copied" : "refused");
	require(dma(from.phys, OWN_MEMORY, 0) == 0, "DMA from memory");
	require(dma(OWN_MEMORY, to.phys, 2) == 0, "DMA to memory");
	printf("by its physical address: %s\n", memcmp(pages, pages + PAGE, PAGE) == 0 ? "copied" : "lost");
	return 0;
}
