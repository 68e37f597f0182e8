// The few structs of a VFIO device that the clients here use, as in include/uapi/linux/vfio.h, and a device that is open.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "iommufd.h"

#define REGION(index) ((off_t)(index) << 40)
enum { BAR0 = 0, CONFIG = 7 };
enum { COMMAND_REGISTER = 4, MEMORY_AND_MASTER = 6 };
enum { INTX = 0, MSI = 1 };

struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t devid; };
struct attach { uint32_t argsz, flags, pt_id; };
struct region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
/** VFIO_DEVICE_FEATURE with the data of DMA_BUF, of one range. */
struct dma_buf { uint32_t argsz, flags, region, open_flags, dma_buf_flags, ranges; uint64_t offset, length; };
enum { FEATURE_GET = 1 << 16, FEATURE_DMA_BUF = 11 };
struct ioeventfd { uint32_t argsz, flags; uint64_t offset, data; int32_t fd; uint32_t reserved; };
struct irq_set { uint32_t argsz, flags, index, start, count; int32_t fd; };

#define VFIO_DEVICE_GET_REGION_INFO COMMAND(108)
#define VFIO_DEVICE_SET_IRQS COMMAND(110)
#define VFIO_DEVICE_RESET COMMAND(111)
#define VFIO_DEVICE_IOEVENTFD COMMAND(116)
#define VFIO_DEVICE_FEATURE COMMAND(117)
#define VFIO_DEVICE_BIND_IOMMUFD COMMAND(118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT COMMAND(119)

enum { DATA_NONE = 1, DATA_EVENTFD = 4, MASK = 8, UNMASK = 16, TRIGGER = 32 };

static int device;
/** What the iommufd calls it. */
static uint32_t device_id;

static void require(int fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline uint64_t get(int region, off_t at, size_t size)
{
	uint64_t value = 0;
	require(pread(device, &value, size, REGION(region) + at) == (ssize_t)size, "pread");
	return value;
}

static inline void set(int region, off_t at, size_t size, uint64_t value)
{
	require(pwrite(device, &value, size, REGION(region) + at) == (ssize_t)size, "pwrite");
}

// Opens a device and an iommufd, which is returned, and binds one to the other.
static inline int open_device(const char *path)
{
	int iommu = open("/dev/iommu", O_RDWR);
	device = open(path, O_RDWR);
	require(iommu >= 0 && device >= 0, "open");
	char byte;
	require(pread(device, &byte, 1, REGION(CONFIG)) == -1 && errno == EINVAL, "a device that isn't bound");
	struct bind bind = {.argsz = sizeof bind, .iommufd = iommu};
	require(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "VFIO_DEVICE_BIND_IOMMUFD");
	device_id = bind.devid;
	return iommu;
}
