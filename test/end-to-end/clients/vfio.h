// The few structs of a VFIO device that the clients here use, as in include/uapi/linux/vfio.h.
#pragma once
#include <stdint.h>
#include "iommufd.h"

#define REGION(index) ((off_t)(index) << 40)
enum { BAR0 = 0, CONFIG = 7 };
enum { INTX = 0, MSI = 1 };

struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t devid; };
struct attach { uint32_t argsz, flags, pt_id; };
struct region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
struct irq_set { uint32_t argsz, flags, index, start, count; int32_t fd; };

#define VFIO_GET_REGION_INFO COMMAND(108)
#define VFIO_SET_IRQS COMMAND(110)
#define VFIO_RESET COMMAND(111)
#define VFIO_BIND COMMAND(118)
#define VFIO_ATTACH COMMAND(119)

enum { DATA_NONE = 1, DATA_EVENTFD = 4, MASK = 8, UNMASK = 16, TRIGGER = 32 };
