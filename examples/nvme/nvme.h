// An NVMe controller, as a driver knows it. NVM Express Base Specification 1.4.
#pragma once
#include "device.h"

enum { PAGE_SIZE = 4096, MOST_QUEUES = 16, MOST_DEPTH = 256 };

/** What a submission queue consists of: 4.2. */
struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t dword10, dword11, dword12, dword13, dword14, dword15;
};

/** What a completion queue consists of: 4.6. */
struct completion {
	uint32_t result, reserved;
	uint16_t submission_head, submission_id, id;
	/** Bit 0 is the phase, the rest the status. */
	uint16_t status;
};

/** A submission queue and a completion queue, which have the same number. */
struct queue {
	struct nvme *nvme;
	uint16_t number, entries;
	struct command *commands;
	volatile struct completion *completions;
	uint16_t tail, head, phase;
	/** How many commands are under way. */
	uint16_t busy;
	/** What is signalled when something completes; -1 when we look for it instead. */
	int eventfd;
};

struct nvme {
	struct device device;
	uint32_t doorbell_stride;
	uint32_t timeout_ms;
	bool uses_interrupts;
	int eventfds[MOST_QUEUES + 1];
	/** Queue 0 is for the administration. */
	struct queue queues[MOST_QUEUES + 1];
	/** A page that small data goes through. */
	void *page;
	uint64_t page_iova;

	/** Of namespace 1. */
	uint64_t blocks;
	uint32_t block_size;
	/** The most data of one command, in bytes. */
	uint32_t most_data;
	char serial[21], model[41];
};

/** Takes a device, enables the controller in it, and creates so many I/O queues. */
void nvme_open(struct nvme *nvme, const char *path, unsigned queues, unsigned entries, bool uses_interrupts);
/** Shuts the controller down, so that nothing that was written is lost. */
void nvme_close(struct nvme *nvme);

/** Puts a command into a queue, without telling the controller. There must be room: fewer than entries - 1 are under way. */
void queue_put(struct queue *queue, struct command command);
/** Tells the controller of all that has been put. */
void queue_ring(struct queue *queue);
/** Takes a completion, if there is one. Those that are taken are told to the controller by queue_taken. */
bool queue_take(struct queue *queue, struct completion *completion);
void queue_taken(struct queue *queue);
/** Waits until there is one. */
void queue_wait(struct queue *queue);

enum { NVM_FLUSH = 0, NVM_WRITE = 1, NVM_READ = 2 };

/** A read or a write of namespace 1. @param iova of the data, which lies in one piece @param prp_list 4 KiB for the addresses of its pages */
struct command nvm_command(const struct nvme *nvme, uint8_t opcode, uint64_t block, uint32_t bytes, uint64_t iova,
			   uint64_t *prp_list, uint64_t prp_list_iova);
