// The few structs of /dev/iommu that the clients here use. Older systems have no <linux/iommufd.h>.
#pragma once
#include <stdint.h>
#include <sys/ioctl.h>

#define COMMAND(number) _IO(';', number)

struct destroy { uint32_t size, id; };
struct ioas_alloc { uint32_t size, flags, id; };
struct ioas_map { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; };
struct ioas_map_file { uint32_t size, flags, ioas_id; int32_t fd; uint64_t start, length, iova; };
struct ioas_unmap { uint32_t size, ioas_id; uint64_t iova, length; };
struct test_command {
	uint32_t size, op, id, reserved;
	union {
		struct { uint32_t stdev_id, hwpt_id, idev_id; } mock;
		uint64_t words[6];
	};
	uint32_t last;
};

#define IOMMU_DESTROY COMMAND(0x80)
#define IOMMU_IOAS_ALLOC COMMAND(0x81)
#define IOMMU_IOAS_MAP COMMAND(0x85)
#define IOMMU_IOAS_UNMAP COMMAND(0x86)
#define IOMMU_IOAS_MAP_FILE COMMAND(0x8f)
#define IOMMU_TEST_CMD COMMAND(0xa0)
#define TEST_MOCK_DOMAIN 2
#define READ_WRITE 6
