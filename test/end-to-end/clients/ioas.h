// One IOAS, and the device attached to it: what most of the clients here begin with.
#pragma once
#include "vfio.h"

static int iommu;
static uint32_t ioas;

static inline void new_ioas(void)
{
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
	ioas = alloc.id;
}

static inline void attach_ioas(void)
{
	new_ioas();
	struct attach attach = {.argsz = sizeof attach, .pt_id = ioas};
	require(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attach");
}

/** @param permissions as IOMMU_IOAS_MAP has them: READ_WRITE */
static inline void map_as(uint32_t permissions, void *pages, uint64_t iova, uint64_t length)
{
	struct ioas_map map = {.size = sizeof map, .flags = 1 | permissions, .ioas_id = ioas,
		.user_va = (uintptr_t)pages, .length = length, .iova = iova};
	require(ioctl(iommu, IOMMU_IOAS_MAP, &map) == 0, "map");
}

static inline void map(void *pages, uint64_t iova, uint64_t length)
{
	map_as(READ_WRITE, pages, iova, length);
}

static inline void unmap(uint64_t iova, uint64_t length)
{
	struct ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = ioas, .iova = iova, .length = length};
	require(ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap) == 0, "unmap");
}
