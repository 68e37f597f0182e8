// A driver in user space for QEMU's educational device, in C. It finds the device in /sys, binds it to an iommufd, maps a page for
// its DMA, has it copy the page's first half to the second through the memory that the device has itself, and cleans up:
//
//   cc -O2 -o edu examples/edu/edu.c
//   ioasis run --machine intel --walk 0x100000 -- ./edu
//
// The structs are those of <linux/iommufd.h> and <linux/vfio.h>, written out here because older systems' headers lack them.
// Registers: docs/specs/edu.rst of QEMU.

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define REQUEST(number) _IO(';', number)
#define IOMMU_DESTROY REQUEST(0x80)
#define IOMMU_IOAS_ALLOC REQUEST(0x81)
#define IOMMU_IOAS_MAP REQUEST(0x85)
#define IOMMU_IOAS_UNMAP REQUEST(0x86)
#define VFIO_DEVICE_BIND_IOMMUFD REQUEST(118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT REQUEST(119)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT REQUEST(120)

enum { MAP_FIXED_IOVA = 1, MAP_WRITEABLE = 2, MAP_READABLE = 4 };

struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t out_devid; uint64_t token_uuid_ptr; };
struct attach { uint32_t argsz, flags, pt_id, pasid; };
struct detach { uint32_t argsz, flags, pasid; };
struct ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct ioas_map { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; };
struct ioas_unmap { uint32_t size, ioas_id; uint64_t iova, length; };
struct destroy { uint32_t size, id; };

#define REGION(index) ((off_t)(index) << 40)
#define BAR0 REGION(0)
#define CONFIG REGION(7)
enum { COMMAND = 4, BUS_MASTER = 4 };
enum { DMA_SOURCE = 0x80, DMA_DESTINATION = 0x88, DMA_COUNT = 0x90, DMA_COMMAND = 0x98 };
enum { START = 1, TO_MEMORY = 2 };
#define OWN_MEMORY 0x40000ULL

#define PAGE 4096
#define HALF (PAGE / 2)
#define IOVA 0x100000ULL

static int device;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void call(const char *name, int fd, unsigned long request, void *argument)
{
	if (ioctl(fd, request, argument) < 0)
		fail(name);
}

static uint64_t read_register(off_t at, size_t size)
{
	uint64_t value = 0;
	if (pread(device, &value, size, at) != (ssize_t)size)
		fail("pread");
	return value;
}

static void write_register(off_t at, size_t size, uint64_t value)
{
	if (pwrite(device, &value, size, at) != (ssize_t)size)
		fail("pwrite");
}

// Which of a function's numbers in /sys it is: "vendor" or "device".
static unsigned long attribute(const char *function, const char *name)
{
	char path[512], text[16] = "";
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", function, name);
	FILE *file = fopen(path, "r");
	if (!file || !fgets(text, sizeof text, file))
		fail(path);
	fclose(file);
	return strtoul(text, NULL, 16);
}

// The first entry of a directory whose name begins so, or an empty string.
static void first_entry(const char *directory, const char *prefix, char *name, size_t size)
{
	DIR *entries = opendir(directory);
	name[0] = 0;
	for (struct dirent *entry; entries && (entry = readdir(entries));)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			snprintf(name, size, "%s", entry->d_name);
	if (entries)
		closedir(entries);
}

// Opens the file of the first educational device that vfio-pci has.
static int open_device(void)
{
	char path[1024], name[256];
	DIR *functions = opendir("/sys/bus/pci/devices");
	for (struct dirent *entry; functions && (entry = readdir(functions));) {
		if (entry->d_name[0] == '.' || attribute(entry->d_name, "vendor") != 0x1234 || attribute(entry->d_name, "device") != 0x11e8)
			continue;
		snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/vfio-dev", entry->d_name);
		first_entry(path, "vfio", name, sizeof name);
		printf("%s is %s\n", entry->d_name, name);
		snprintf(path, sizeof path, "/dev/vfio/devices/%s", name);
		closedir(functions);
		return open(path, O_RDWR);
	}
	return -1;
}

// It is over when the start bit is clear again.
static void copy(uint64_t source, uint64_t destination, uint64_t how)
{
	write_register(BAR0 + DMA_SOURCE, 8, source);
	write_register(BAR0 + DMA_DESTINATION, 8, destination);
	write_register(BAR0 + DMA_COUNT, 8, HALF);
	write_register(BAR0 + DMA_COMMAND, 8, how);
	while (read_register(BAR0 + DMA_COMMAND, 8) & START)
		;
}

int main(void)
{
	device = open_device();
	int iommu = open("/dev/iommu", O_RDWR);
	if (device < 0 || iommu < 0) {
		fprintf(stderr, "no device: start me with `ioasis run --machine intel -- ./edu`\n");
		return 1;
	}
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(page, "through the IOMMU and back");

	struct bind bind = { .argsz = sizeof bind, .iommufd = iommu };
	call("VFIO_DEVICE_BIND_IOMMUFD", device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	struct ioas_alloc ioas = { .size = sizeof ioas };
	call("IOMMU_IOAS_ALLOC", iommu, IOMMU_IOAS_ALLOC, &ioas);
	struct ioas_map map = { .size = sizeof map, .flags = MAP_FIXED_IOVA | MAP_WRITEABLE | MAP_READABLE, .ioas_id = ioas.out_ioas_id,
				.user_va = (uintptr_t)page, .length = PAGE, .iova = IOVA };
	call("IOMMU_IOAS_MAP", iommu, IOMMU_IOAS_MAP, &map);
	struct attach attach = { .argsz = sizeof attach, .pt_id = ioas.out_ioas_id };
	call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

	write_register(CONFIG + COMMAND, 2, read_register(CONFIG + COMMAND, 2) | BUS_MASTER);
	copy(IOVA, OWN_MEMORY, START);
	copy(OWN_MEMORY, IOVA + HALF, START | TO_MEMORY);
	printf("in the second half of the page: %s\n", page + HALF);

	struct detach detach = { .argsz = sizeof detach };
	call("VFIO_DEVICE_DETACH_IOMMUFD_PT", device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
	struct ioas_unmap unmap = { .size = sizeof unmap, .ioas_id = ioas.out_ioas_id, .iova = IOVA, .length = PAGE };
	call("IOMMU_IOAS_UNMAP", iommu, IOMMU_IOAS_UNMAP, &unmap);
	struct destroy destroy = { .size = sizeof destroy, .id = ioas.out_ioas_id };
	call("IOMMU_DESTROY", iommu, IOMMU_DESTROY, &destroy);
	close(device);
	close(iommu);
	return 0;
}
