// How a driver starts a controller, gives it commands and takes its answers. The numbers in brackets are sections of the NVM Express Base
// Specification 1.4.
#include "nvme.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Registers (3.1).
enum { CAP = 0x00, CC = 0x14, CSTS = 0x1c, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, DOORBELLS = 0x1000 };
enum { CC_ENABLE = 1, CC_SHUTDOWN = 1 << 14, CC_ENTRY_SIZES = 6 << 16 | 4 << 20 };
enum { CSTS_READY = 1, CSTS_FATAL = 2, CSTS_SHUTDOWN_MASK = 3 << 2, CSTS_SHUTDOWN_COMPLETE = 2 << 2 };

// Admin commands (5).
enum { CREATE_SUBMISSION_QUEUE = 1, CREATE_COMPLETION_QUEUE = 5, IDENTIFY = 6, SET_FEATURES = 9 };
enum { IDENTIFY_NAMESPACE = 0, IDENTIFY_CONTROLLER = 1 };
enum { FEATURE_NUMBER_OF_QUEUES = 7 };
enum { QUEUE_IS_CONTIGUOUS = 1, QUEUE_INTERRUPTS = 2 };

static void wait_for_status(struct nvme *nvme, uint32_t mask, uint32_t wanted, const char *what)
{
	for (uint32_t waited = 0;; waited++) {
		uint32_t status = read32(&nvme->device, CSTS);
		errno = 0;
		require(!(status & CSTS_FATAL), "%s: the controller has failed", what);
		if ((status & mask) == wanted)
			return;
		require(waited < nvme->timeout_ms, "%s: it takes longer than %u ms", what, nvme->timeout_ms);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

// --- Queues (4.1) ---

static void queue_init(struct nvme *nvme, uint16_t number, uint16_t entries, uint64_t *commands, uint64_t *completions)
{
	struct queue *queue = &nvme->queues[number];
	*queue = (struct queue){.nvme = nvme, .number = number, .entries = entries, .phase = 1, .eventfd = -1};
	queue->commands = device_memory(&nvme->device, MOST_DEPTH * sizeof(struct command), commands);
	queue->completions = device_memory(&nvme->device, PAGE_SIZE, completions);
	if (nvme->uses_interrupts)
		queue->eventfd = nvme->eventfds[number];
}

static uint32_t doorbell(const struct queue *queue, bool is_completion)
{
	return DOORBELLS + (2 * queue->number + is_completion) * queue->nvme->doorbell_stride;
}

void queue_put(struct queue *queue, struct command command)
{
	queue->commands[queue->tail] = command;
	queue->tail = (queue->tail + 1) % queue->entries;
	queue->busy++;
}

void queue_ring(struct queue *queue)
{
	// The controller may look as soon as the bell rings: the commands have to be there.
	atomic_thread_fence(memory_order_seq_cst);
	write32(&queue->nvme->device, doorbell(queue, false), queue->tail);
}

bool queue_take(struct queue *queue, struct completion *completion)
{
	volatile struct completion *entry = &queue->completions[queue->head];
	// The phase changes with each round: an entry with the new one is new.
	uint16_t status = entry->status;
	if ((status & 1) != queue->phase)
		return false;
	atomic_thread_fence(memory_order_acquire);
	*completion = (struct completion){.result = entry->result, .id = entry->id, .status = status >> 1};
	if (++queue->head == queue->entries) {
		queue->head = 0;
		queue->phase ^= 1;
	}
	queue->busy--;
	return true;
}

void queue_taken(struct queue *queue)
{
	write32(&queue->nvme->device, doorbell(queue, true), queue->head);
}

void queue_wait(struct queue *queue)
{
	volatile struct completion *entry = &queue->completions[queue->head];
	while ((entry->status & 1) != queue->phase) {
		uint64_t count;
		if (queue->eventfd >= 0)
			require(read(queue->eventfd, &count, sizeof count) == sizeof count, "waiting for an interrupt");
	}
}

/** One command to its end. */
static uint32_t execute(struct queue *queue, struct command command, const char *what)
{
	struct completion completion;
	queue_put(queue, command);
	queue_ring(queue);
	do
		queue_wait(queue);
	while (!queue_take(queue, &completion));
	queue_taken(queue);
	errno = 0;
	require(completion.status == 0, "%s: status type %u, code 0x%x", what, completion.status >> 8 & 7, completion.status & 0xff);
	return completion.result;
}

// --- The controller ---

/** ASCII that is padded with blanks. */
static void copy_text(char *to, const char *from, size_t length)
{
	memcpy(to, from, length);
	while (length > 0 && to[length - 1] == ' ')
		length--;
	to[length] = 0;
}

/** Who it is (5.15). */
static void identify(struct nvme *nvme)
{
	struct queue *admin = &nvme->queues[0];
	const uint8_t *page = nvme->page;
	struct command command = {.opcode = IDENTIFY, .prp1 = nvme->page_iova, .dword10 = IDENTIFY_CONTROLLER};
	execute(admin, command, "Identify, of the controller");
	copy_text(nvme->serial, (const char *)page + 4, 20);
	copy_text(nvme->model, (const char *)page + 24, 40);
	nvme->most_data = page[77] == 0 || page[77] > 8 ? 256 * PAGE_SIZE : PAGE_SIZE << page[77];

	command = (struct command){.opcode = IDENTIFY, .namespace = 1, .prp1 = nvme->page_iova, .dword10 = IDENTIFY_NAMESPACE};
	execute(admin, command, "Identify, of namespace 1");
	memcpy(&nvme->blocks, page, 8);
	nvme->block_size = 1u << page[128 + 4 * (page[26] & 15) + 2];
}

/** The completion queue comes first, because the submission queue names it (5.3, 5.4). */
static void create_queue(struct nvme *nvme, uint16_t number, uint16_t entries)
{
	uint64_t commands, completions;
	queue_init(nvme, number, entries, &commands, &completions);
	struct queue *admin = &nvme->queues[0];
	struct command command = {
		.opcode = CREATE_COMPLETION_QUEUE,
		.prp1 = completions,
		.dword10 = number | (uint32_t)(entries - 1) << 16,
		.dword11 = QUEUE_IS_CONTIGUOUS,
	};
	// Each queue has an interrupt vector of its own.
	if (nvme->uses_interrupts)
		command.dword11 |= QUEUE_INTERRUPTS | (uint32_t)number << 16;
	execute(admin, command, "Create I/O Completion Queue");
	command.opcode = CREATE_SUBMISSION_QUEUE;
	command.prp1 = commands;
	command.dword11 = QUEUE_IS_CONTIGUOUS | (uint32_t)number << 16;
	execute(admin, command, "Create I/O Submission Queue");
}

void nvme_open(struct nvme *nvme, const char *path, unsigned queues, unsigned entries, bool uses_interrupts)
{
	*nvme = (struct nvme){.uses_interrupts = uses_interrupts};
	struct device *device = &nvme->device;
	device_open(device, path, DOORBELLS + PAGE_SIZE);
	uint64_t capabilities = read64(device, CAP);
	nvme->doorbell_stride = 4u << (capabilities >> 32 & 15);
	nvme->timeout_ms = (uint32_t)(capabilities >> 24 & 255) * 500;
	require((capabilities & 0xffff) + 1 >= entries, "it has no queues of %u entries", entries);
	if (uses_interrupts)
		device_interrupts(device, nvme->eventfds, queues + 1);

	// It may have been left enabled. Where the admin queues are is told while it isn't (7.6.1).
	write32(device, CC, 0);
	wait_for_status(nvme, CSTS_READY, 0, "resetting the controller");
	uint64_t commands, completions;
	queue_init(nvme, 0, 32, &commands, &completions);
	nvme->page = device_memory(device, PAGE_SIZE, &nvme->page_iova);
	write32(device, AQA, 31 | 31 << 16);
	write64(device, ASQ, commands);
	write64(device, ACQ, completions);
	write32(device, CC, CC_ENTRY_SIZES | CC_ENABLE);
	wait_for_status(nvme, CSTS_READY, CSTS_READY, "enabling the controller");

	identify(nvme);
	uint32_t asked = (queues - 1) | (queues - 1) << 16;
	struct command command = {.opcode = SET_FEATURES, .dword10 = FEATURE_NUMBER_OF_QUEUES, .dword11 = asked};
	uint32_t given = execute(&nvme->queues[0], command, "Set Features, Number of Queues");
	require((given & 0xffff) + 1 >= queues && (given >> 16) + 1 >= queues, "it has no %u queues", queues);
	for (unsigned number = 1; number <= queues; number++)
		create_queue(nvme, (uint16_t)number, (uint16_t)entries);
}

void nvme_close(struct nvme *nvme)
{
	write32(&nvme->device, CC, CC_ENTRY_SIZES | CC_ENABLE | CC_SHUTDOWN);
	wait_for_status(nvme, CSTS_SHUTDOWN_MASK, CSTS_SHUTDOWN_COMPLETE, "shutting the controller down");
	write32(&nvme->device, CC, 0);
	device_close(&nvme->device);
}

// --- Data (4.3) ---

struct command nvm_command(const struct nvme *nvme, uint8_t opcode, uint64_t block, uint32_t bytes, uint64_t iova,
			   uint64_t *prp_list, uint64_t prp_list_iova)
{
	struct command command = {
		.opcode = opcode,
		.namespace = 1,
		.prp1 = iova,
		.dword10 = (uint32_t)block,
		.dword11 = (uint32_t)(block >> 32),
		.dword12 = bytes / nvme->block_size - 1,
	};
	// The first entry names the first page, the second one the second, or a list of all but the first.
	uint64_t next = (iova | (PAGE_SIZE - 1)) + 1;
	uint64_t end = iova + bytes;
	if (next >= end)
		return command;
	command.prp2 = next;
	if (end - next <= PAGE_SIZE)
		return command;
	for (unsigned i = 0; next < end; i++, next += PAGE_SIZE)
		prp_list[i] = next;
	command.prp2 = prp_list_iova;
	return command;
}
