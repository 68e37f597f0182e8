// VFIO's devices and iommufd, as far as a driver needs them: include/uapi/linux/vfio.h and iommufd.h of Linux 6.6 and later. What is used of
// these headers is written down here, since many systems have older ones.
#define _GNU_SOURCE
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define COMMAND(number) _IO(';', number)
#define IOMMU_DESTROY COMMAND(0x80)
#define IOMMU_IOAS_ALLOC COMMAND(0x81)
#define IOMMU_IOAS_MAP COMMAND(0x85)
#define VFIO_DEVICE_GET_REGION_INFO COMMAND(108)
#define VFIO_DEVICE_SET_IRQS COMMAND(110)
#define VFIO_DEVICE_BIND_IOMMUFD COMMAND(118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT COMMAND(119)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT COMMAND(120)

struct destroy { uint32_t size, id; };
struct ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct ioas_map { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; };
struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t out_devid; };
struct attach { uint32_t argsz, flags, pt_id; };
struct detach { uint32_t argsz, flags; };
struct region { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
struct irq_set { uint32_t argsz, flags, index, start, count; int32_t fds[]; };

enum { MAP_IS_WRITEABLE = 2, MAP_IS_READABLE = 4 };
enum { REGION_CAN_BE_MAPPED = 4 };
enum { IRQ_MSIX = 2, IRQ_DATA_EVENTFD = 4, IRQ_ACTION_TRIGGER = 32 };
enum { BAR0 = 0, CONFIG = 7 };
enum { PCI_COMMAND = 4, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4 };

/** Where a region is in the device's file. */
#define POSITION(region) ((off_t)(region) << 40)

void require(bool fine, const char *format, ...)
{
	if (fine)
		return;
	const char *reason = errno ? strerror(errno) : NULL;
	va_list values;
	va_start(values, format);
	fprintf(stderr, "nvme: ");
	vfprintf(stderr, format, values);
	va_end(values);
	fprintf(stderr, reason ? ": %s\n" : "\n", reason);
	exit(1);
}

/** A number in a file of sysfs. */
static unsigned long number_in(const char *directory, const char *name)
{
	char path[600], text[64] = "";
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	return strtoul(text, NULL, 0);
}

/** The device file of a function that is VFIO's: /sys/bus/pci/devices/ADDRESS/vfio-dev/vfioN. */
static bool vfio_of(const char *function, char *path, size_t size)
{
	char directory[600];
	snprintf(directory, sizeof directory, "%s/vfio-dev", function);
	DIR *entries = opendir(directory);
	if (entries == NULL)
		return false;
	bool found = false;
	for (struct dirent *entry; !found && (entry = readdir(entries)) != NULL;)
		if ((found = strncmp(entry->d_name, "vfio", 4) == 0))
			snprintf(path, size, "/dev/vfio/devices/%.100s", entry->d_name);
	closedir(entries);
	return found;
}

bool device_find(uint32_t class_code, char *path, size_t size)
{
	const char *functions = "/sys/bus/pci/devices";
	DIR *entries = opendir(functions);
	if (entries == NULL)
		return false;
	bool found = false;
	for (struct dirent *entry; !found && (entry = readdir(entries)) != NULL;) {
		char function[512];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(function, sizeof function, "%s/%.200s", functions, entry->d_name);
		found = number_in(function, "class") == class_code && vfio_of(function, path, size);
	}
	closedir(entries);
	return found;
}

void device_open(struct device *device, const char *path, size_t bytes_to_map)
{
	*device = (struct device){.fd = open(path, O_RDWR), .iommu = open("/dev/iommu", O_RDWR)};
	require(device->fd >= 0, "%s", path);
	require(device->iommu >= 0, "/dev/iommu");

	struct bind bind = {.argsz = sizeof bind, .iommufd = device->iommu};
	require(ioctl(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "binding %s to the iommufd", path);
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(device->iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "an I/O address space");
	device->ioas = alloc.out_ioas_id;
	struct attach attach = {.argsz = sizeof attach, .pt_id = device->ioas};
	require(ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attaching %s", path);

	// Without this bit a function does no DMA and sends no interrupts.
	uint16_t command;
	require(pread(device->fd, &command, 2, POSITION(CONFIG) + PCI_COMMAND) == 2, "the command register");
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	require(pwrite(device->fd, &command, 2, POSITION(CONFIG) + PCI_COMMAND) == 2, "the command register");

	struct region region = {.argsz = sizeof region, .index = BAR0};
	require(ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &region) == 0, "BAR 0");
	require(region.size >= bytes_to_map, "BAR 0 has %zu bytes only", (size_t)region.size);
	if (!(region.flags & REGION_CAN_BE_MAPPED))
		return;
	void *bar = mmap(NULL, bytes_to_map, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, (off_t)region.offset);
	if (bar == MAP_FAILED)
		return;
	device->bar = bar;
	device->mapped = bytes_to_map;
}

void device_close(struct device *device)
{
	if (device->bar != NULL)
		munmap((void *)device->bar, device->mapped);
	struct detach detach = {.argsz = sizeof detach};
	require(ioctl(device->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) == 0, "detaching the device");
	struct destroy destroy = {.size = sizeof destroy, .id = device->ioas};
	require(ioctl(device->iommu, IOMMU_DESTROY, &destroy) == 0, "destroying the I/O address space");
	close(device->fd);
	close(device->iommu);
}

void *device_memory(struct device *device, size_t size, uint64_t *iova)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(memory != MAP_FAILED, "%zu bytes of memory", size);
	struct ioas_map map = {
		.size = sizeof map,
		.flags = MAP_IS_READABLE | MAP_IS_WRITEABLE,
		.ioas_id = device->ioas,
		.user_va = (uintptr_t)memory,
		.length = size,
	};
	require(ioctl(device->iommu, IOMMU_IOAS_MAP, &map) == 0, "mapping %zu bytes for the device", size);
	*iova = map.iova;
	return memory;
}

void device_interrupts(struct device *device, int *eventfds, unsigned count)
{
	size_t size = sizeof(struct irq_set) + count * sizeof(int32_t);
	struct irq_set *set = calloc(1, size);
	require(set != NULL, "memory");
	*set = (struct irq_set){
		.argsz = (uint32_t)size,
		.flags = IRQ_DATA_EVENTFD | IRQ_ACTION_TRIGGER,
		.index = IRQ_MSIX,
		.count = count,
	};
	for (unsigned i = 0; i < count; i++) {
		eventfds[i] = eventfd(0, EFD_CLOEXEC);
		require(eventfds[i] >= 0, "an eventfd");
		set->fds[i] = eventfds[i];
	}
	require(ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set) == 0, "%u MSI-X vectors", count);
	free(set);
}

uint32_t read32(const struct device *device, uint32_t offset)
{
	if (device->bar != NULL)
		return *(volatile uint32_t *)(device->bar + offset);
	uint32_t value;
	require(pread(device->fd, &value, 4, POSITION(BAR0) + offset) == 4, "register 0x%x", offset);
	return value;
}

uint64_t read64(const struct device *device, uint32_t offset)
{
	return read32(device, offset) | (uint64_t)read32(device, offset + 4) << 32;
}

void write32(const struct device *device, uint32_t offset, uint32_t value)
{
	if (device->bar != NULL)
		*(volatile uint32_t *)(device->bar + offset) = value;
	else
		require(pwrite(device->fd, &value, 4, POSITION(BAR0) + offset) == 4, "register 0x%x", offset);
}

void write64(const struct device *device, uint32_t offset, uint64_t value)
{
	write32(device, offset, (uint32_t)value);
	write32(device, offset + 4, (uint32_t)(value >> 32));
}
