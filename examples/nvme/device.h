// A PCI function in the hands of a program: found in sysfs, bound to an iommufd, with memory that it may reach.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device {
	int fd;
	int iommu;
	uint32_t ioas;
	/** BAR 0, where it can be mapped; NULL where each access is a pread or a pwrite. */
	volatile uint8_t *bar;
	size_t mapped;
};

/** The first function of a class (base class, subclass, programming interface) that VFIO has; false if there is none. */
bool device_find(uint32_t class_code, char *path, size_t size);

/** Opens /dev/vfio/devices/vfioN, binds it to a new iommufd with an I/O address space, and lets it do DMA. */
void device_open(struct device *device, const char *path, size_t bytes_to_map);
void device_close(struct device *device);

/** Memory of our own that the device reaches, too. *iova is how it calls it. */
void *device_memory(struct device *device, size_t size, uint64_t *iova);

/** Has MSI-X vectors 0 to count - 1 signal eventfds, which are made. */
void device_interrupts(struct device *device, int *eventfds, unsigned count);

/** Registers in BAR 0. */
uint32_t read32(const struct device *device, uint32_t offset);
uint64_t read64(const struct device *device, uint32_t offset);
void write32(const struct device *device, uint32_t offset, uint32_t value);
void write64(const struct device *device, uint32_t offset, uint64_t value);

/** Ends the program with a message if something is not so. */
void require(bool fine, const char *format, ...) __attribute__((format(printf, 2, 3)));
