// copier SOCKET [twin] [multi] [slow] [die=N] [stall=N] [lie=SEED]: a vfio-user server whose device copies memory.
//
// BAR 0 has registers of 8 bytes, below. BAR 2 is 64 KiB of memory, the first 16 KiB of which can be mapped. Memory that came with a file is
// mapped and copied; for the rest it asks the client. It serves one client after the other.
//
// For tests it can be another: one that has a second socket for its own commands (twin) and takes several writes at once (multi), that takes
// its time to let go of memory (slow), ends at its Nth message (die), doesn't answer it (stall), or spoils its replies (lie).

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { VERSION = 1, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS, REGION_READ,
       REGION_WRITE, DMA_READ, DMA_WRITE, RESET, WRITE_MULTI = 15 };
enum { IDENTITY = 0x00, SOURCE = 0x08, DESTINATION = 0x10, LENGTH = 0x18, COMMAND = 0x20, STATUS = 0x28, SCRATCH = 0x30,
       FILES = 0x38, MAPS = 0x40, MULTIS = 0x48, RESETS = 0x50, CONFIG_COMMAND = 0x58, REGISTERS = 0x60 };
enum { START = 1, INTERRUPT = 2, READ_BY_MESSAGE = 4, WRITE_BY_MESSAGE = 8 };
enum { VECTORS = 4, MOST_MAPS = 4096, LONGEST = 1 << 21, PIECE = 64 * 1024, MEMORY = 64 * 1024, MAPPED = 16 * 1024, MOST_FDS = 16 };

struct header {
	uint16_t id, command;
	uint32_t size, flags, error;
};

struct map {
	uint64_t address, size;
	uint32_t flags;
	char *bytes;
};

static int client = -1, twin[2] = { -1, -1 };
static int wants_twin, has_multi, is_slow;
static long messages, die_at, stall_at;
static unsigned long lies;
static uint8_t config[256], memory_copy[MEMORY], *memory = memory_copy;
static uint64_t registers[REGISTERS / 8];
static struct map maps[MOST_MAPS];
static int map_count, memory_fd, vectors[VECTORS] = { -1, -1, -1, -1 }, intx = -1;
static uint8_t payload[LONGEST];
static int fds[MOST_FDS], fd_count;

static unsigned random_number(void)
{
	lies = lies * 6364136223846793005UL + 1442695040888963407UL;
	return lies >> 33;
}

static int receive_all(int fd, void *into, size_t length, int with_fds)
{
	for (size_t done = 0; done < length;) {
		char control[CMSG_SPACE(MOST_FDS * sizeof(int))];
		struct iovec vector = { (char *)into + done, length - done };
		struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		if (with_fds && c && c->cmsg_type == SCM_RIGHTS) {
			fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), fd_count * sizeof(int));
		}
		done += got;
	}
	return 0;
}

static int send_all(int fd, const void *bytes, size_t length, const int *passed, int passed_count)
{
	for (size_t done = 0; done < length;) {
		char control[CMSG_SPACE(MOST_FDS * sizeof(int))] = { 0 };
		struct iovec vector = { (char *)bytes + done, length - done };
		struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
		if (done == 0 && passed_count > 0) {
			message.msg_control = control;
			message.msg_controllen = CMSG_SPACE(passed_count * sizeof(int));
			struct cmsghdr *c = CMSG_FIRSTHDR(&message);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(passed_count * sizeof(int));
			memcpy(CMSG_DATA(c), passed, passed_count * sizeof(int));
		}
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -1;
		done += sent;
	}
	return 0;
}

// Spoils one thing in a message, or sends it in two pieces, which is no lie.
static int send_spoiled(uint8_t *message, size_t size, const int *passed, int passed_count)
{
	switch (random_number() % 8) {
	case 0:
		message[random_number() % size] ^= 1 << random_number() % 8;
		break;
	case 1:
		*(uint32_t *)(message + 4) = random_number();
		break;
	case 2:
		size = size > 1 ? 1 + random_number() % (size - 1) : size;
		send_all(client, message, size, passed, passed_count);
		return -1;
	case 3:
		passed_count = 0;
		break;
	case 4:
		for (int i = 0; i < 8; i++)
			message[random_number() % size] = random_number();
		break;
	default:
		if (send_all(client, message, 5, passed, passed_count))
			return -1;
		return send_all(client, message + 5, size - 5, NULL, 0);
	}
	return send_all(client, message, size, passed, passed_count);
}

static int reply(struct header request, const void *data, size_t length, int error, const int *passed, int passed_count)
{
	static uint8_t message[LONGEST + 64];
	struct header header = { request.id, request.command, sizeof(header) + length, 1 | (error ? 32 : 0), error };
	if (request.flags & 16)
		return 0;
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), data, length);
	if (lies && request.command != VERSION && random_number() % 3 == 0)
		return send_spoiled(message, header.size, passed, passed_count);
	return send_all(client, message, header.size, passed, passed_count);
}

// Asks the client for some of its memory, or has it changed. Its answers come on the socket that was asked on.
static int ask(int command, uint64_t address, uint8_t *bytes, uint32_t count)
{
	static uint8_t message[PIECE + 64];
	static uint16_t id;
	int fd = twin[0] >= 0 ? twin[0] : client;
	uint32_t sent = command == DMA_WRITE ? count : 0;
	struct header header = { ++id, command, sizeof(header) + 16 + sent, 0, 0 }, answer;
	uint64_t words[2] = { address, count };
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), words, 16);
	memcpy(message + sizeof(header) + 16, bytes, sent);
	if (send_all(fd, message, header.size, NULL, 0) || receive_all(fd, &answer, sizeof(answer), 0))
		return -1;
	uint32_t rest = answer.size - sizeof(answer);
	if (rest > sizeof(message) || receive_all(fd, message, rest, 0))
		return -1;
	if (answer.id != id || answer.command != command || !(answer.flags & 1))
		exit(3);
	if (answer.flags & 32)
		return answer.error ? (int)answer.error : EIO;
	if (command == DMA_READ)
		memcpy(bytes, message + 16, count);
	return 0;
}

static struct map *map_of(uint64_t address, uint64_t size)
{
	for (int i = 0; i < map_count; i++)
		if (address >= maps[i].address && address - maps[i].address < maps[i].size &&
		    size <= maps[i].size - (address - maps[i].address))
			return &maps[i];
	return NULL;
}

static int transfer(int command, uint64_t address, uint8_t *bytes, uint32_t count, int by_message)
{
	struct map *map = map_of(address, count);
	if (map == NULL)
		return EFAULT;
	if (!(map->flags & (command == DMA_READ ? 1 : 2)))
		return EACCES;
	if (map->bytes == NULL || by_message)
		return ask(command, address, bytes, count);
	char *place = map->bytes + (address - map->address);
	if (command == DMA_READ)
		memcpy(bytes, place, count);
	else
		memcpy(place, bytes, count);
	return 0;
}

static void signal_vector(int vector)
{
	uint64_t one = 1;
	int fd = vector < VECTORS && vectors[vector] >= 0 ? vectors[vector] : intx;
	if (fd >= 0 && write(fd, &one, sizeof(one)) != sizeof(one))
		perror("write");
}

static void run(uint64_t command)
{
	static uint8_t buffer[PIECE];
	uint64_t left = registers[LENGTH / 8], done = 0;
	int error = 0;
	while (left > 0 && !error) {
		uint32_t count = left < PIECE ? left : PIECE;
		error = transfer(DMA_READ, registers[SOURCE / 8] + done, buffer, count, (command & READ_BY_MESSAGE) != 0);
		if (!error)
			error = transfer(DMA_WRITE, registers[DESTINATION / 8] + done, buffer, count, (command & WRITE_BY_MESSAGE) != 0);
		done += count;
		left -= count;
	}
	registers[STATUS / 8] = error;
	if (command & INTERRUPT)
		signal_vector(command >> 8 & 255);
}

static int write_region(uint32_t region, uint64_t offset, const uint8_t *data, uint32_t count)
{
	if (region == 7 && offset + count <= sizeof(config)) {
		if (offset == 4 && count <= 4)
			memcpy(&registers[CONFIG_COMMAND / 8], data, count);
		else if (offset >= 0x40)
			memcpy(config + offset, data, count);
	} else if (region == 2 && offset + count <= MEMORY)
		memcpy(memory + offset, data, count);
	else if (region == 0 && offset + count <= REGISTERS && offset % 8 + count <= 8) {
		memcpy((uint8_t *)registers + offset, data, count);
		if (offset == COMMAND && registers[COMMAND / 8] & START)
			run(registers[COMMAND / 8]);
	} else
		return EINVAL;
	return 0;
}

static void read_region(uint32_t region, uint64_t offset, uint8_t *into, uint32_t count)
{
	memset(into, 0xff, count);
	if (region == 7 && offset + count <= sizeof(config))
		memcpy(into, config + offset, count);
	else if (region == 2 && offset + count <= MEMORY)
		memcpy(into, memory + offset, count);
	else if (region == 0 && offset + count <= REGISTERS)
		memcpy(into, (uint8_t *)registers + offset, count);
}

static void forget_map(int i)
{
	if (maps[i].bytes)
		munmap(maps[i].bytes, maps[i].size);
	maps[i] = maps[--map_count];
	registers[MAPS / 8] = map_count;
}

static int add_map(uint64_t offset, uint64_t address, uint64_t size, uint32_t flags)
{
	char *bytes = NULL;
	if (map_of(address, 1))
		return EEXIST;
	if (map_count == MOST_MAPS)
		return ENOMEM;
	if (fd_count > 0) {
		bytes = mmap(NULL, size, (flags & 1 ? PROT_READ : 0) | (flags & 2 ? PROT_WRITE : 0), MAP_SHARED, fds[0], offset);
		if (bytes == MAP_FAILED)
			return errno;
		registers[FILES / 8]++;
	}
	maps[map_count++] = (struct map){ address, size, flags, bytes };
	registers[MAPS / 8] = map_count;
	return 0;
}

static int remove_map(uint64_t address, uint64_t size)
{
	for (int i = 0; i < map_count; i++)
		if (maps[i].address == address && maps[i].size == size) {
			forget_map(i);
			return 0;
		}
	return ENOENT;
}

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	int *place = index == 0 ? &intx : vectors;
	uint32_t most = index == 0 ? 1 : VECTORS;
	if ((index != 0 && index != 2) || start > most || count > most - start)
		return EINVAL;
	if (flags & 1 && count == 0 && flags & 32) {
		for (uint32_t i = 0; i < most; i++) {
			if (place[i] >= 0)
				close(place[i]);
			place[i] = -1;
		}
		return 0;
	}
	if (!(flags & 4))
		return 0;
	if (fd_count != 0 && (uint32_t)fd_count != count)
		return EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		if (place[start + i] >= 0)
			close(place[start + i]);
		place[start + i] = fd_count ? dup(fds[i]) : -1;
	}
	return 0;
}

static int serve_version(struct header header)
{
	char json[256];
	uint16_t version[2] = { 0, 1 };
	int passed[1], passed_count = 0;
	int length = sprintf(json + 4, "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":1048576", MOST_FDS);
	if (has_multi)
		length += sprintf(json + 4 + length, ",\"write_multiple\":true");
	if (wants_twin && socketpair(AF_UNIX, SOCK_STREAM, 0, twin) == 0) {
		length += sprintf(json + 4 + length, ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}");
		passed[passed_count++] = twin[1];
	}
	length += sprintf(json + 4 + length, "}}") + 1;
	memcpy(json, version, 4);
	int result = reply(header, json, 4 + length, 0, passed, passed_count);
	if (passed_count)
		close(twin[1]);
	return result;
}

static int serve_region_info(struct header header)
{
	// The info, and for BAR 2 a list of one area that can be mapped.
	uint32_t words[16] = { 32, 3, *(uint32_t *)(payload + 8), 0 }, index = words[2];
	uint64_t size = index == 0 ? 4096 : index == 2 ? MEMORY : index == 7 ? sizeof(config) : 0;
	memcpy(words + 4, &size, 8);
	if (size == 0)
		words[1] = 0;
	if (index != 2)
		return reply(header, words, 32, 0, NULL, 0);
	words[0] = 64;
	words[1] |= 4 | 8;
	words[3] = 32;
	words[8] = 1 | 1 << 16; // sparse mmap, version 1
	words[10] = 1;
	words[14] = MAPPED;
	return reply(header, words, 64, 0, &memory_fd, 1);
}

static int serve(struct header header, uint32_t length)
{
	uint64_t *wide = (uint64_t *)payload;
	uint32_t *words = (uint32_t *)payload;
	static uint8_t data[LONGEST];
	int error;
	switch (header.command) {
	case VERSION:
		return serve_version(header);
	case DMA_MAP:
		error = length < 32 ? EINVAL : add_map(wide[1], wide[2], wide[3], words[1]);
		return reply(header, NULL, 0, error, NULL, 0);
	case DMA_UNMAP:
		if (is_slow)
			usleep(300000);
		error = length < 24 ? EINVAL : remove_map(wide[1], wide[2]);
		return reply(header, payload, error ? 0 : 24, error, NULL, 0);
	case GET_INFO:
		memcpy(data, (uint32_t[]){ 16, 3, 9, 5 }, 16);
		return reply(header, data, 16, 0, NULL, 0);
	case GET_REGION_INFO:
		return serve_region_info(header);
	case GET_IRQ_INFO:
		memcpy(data, (uint32_t[]){ 16, 1, words[2], words[2] == 0 ? 1 : words[2] == 2 ? VECTORS : 0 }, 16);
		return reply(header, data, 16, 0, NULL, 0);
	case SET_IRQS:
		error = length < 20 ? EINVAL : set_irqs(words[1], words[2], words[3], words[4]);
		return reply(header, NULL, 0, error, NULL, 0);
	case REGION_READ:
		if (words[3] > LONGEST - 16)
			return reply(header, NULL, 0, EINVAL, NULL, 0);
		memcpy(data, payload, 16);
		read_region(words[2], wide[0], data + 16, words[3]);
		return reply(header, data, 16 + words[3], 0, NULL, 0);
	case REGION_WRITE:
		error = write_region(words[2], wide[0], payload + 16, words[3]);
		return reply(header, payload, error ? 0 : 16, error, NULL, 0);
	case WRITE_MULTI:
		registers[MULTIS / 8]++;
		for (uint64_t i = 0; i < wide[0]; i++) {
			uint64_t *each = wide + 1 + 3 * i;
			write_region(each[1], each[0], (uint8_t *)(each + 2), each[1] >> 32);
		}
		return reply(header, payload, 8, 0, NULL, 0);
	case RESET:
		error = registers[RESETS / 8] + 1;
		memset(registers + 1, 0, FILES - 8);
		registers[RESETS / 8] = error;
		return reply(header, NULL, 0, 0, NULL, 0);
	default:
		return reply(header, NULL, 0, ENOTSUP, NULL, 0);
	}
}

static void serve_client(void)
{
	struct header header;
	for (;;) {
		fd_count = 0;
		if (receive_all(client, &header, sizeof(header), 1) || header.size < sizeof(header) || header.size - sizeof(header) > LONGEST)
			break;
		if (receive_all(client, payload, header.size - sizeof(header), 1))
			break;
		messages++;
		if (messages == die_at)
			exit(0);
		if (messages == stall_at)
			pause();
		int failed = serve(header, header.size - sizeof(header));
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		if (failed)
			break;
	}
	while (map_count > 0)
		forget_map(0);
	for (uint32_t index = 0; index <= 2; index += 2)
		set_irqs(1 | 32, index, 0, 0);
	if (twin[0] >= 0)
		close(twin[0]);
	twin[0] = -1;
	close(client);
}

static void set_up(void)
{
	static const uint8_t header[64] = {
		0x34, 0x12, 0xc0, 0xd1, 0, 0, 0x10, 0, // 1234:d1c0, a list of capabilities
		1, 0, 0, 0x12, 0, 0, 0, 0, // class 0x120000
		0, 0, 0, 0, 0, 0, 0, 0, // BAR 0: 32 bits
		0x0c, 0, 0, 0, 0, 0, 0, 0, // BAR 2: 64 bits, prefetchable
		[0x2c] = 0x34, 0x12, 0x01, 0x00, // subsystem
		[0x34] = 0x40, [0x3d] = 1,
	};
	static const uint8_t msix[12] = { 0x11, 0, VECTORS - 1, 0, 0x00, 0x08, 0, 0, 0x00, 0x0c, 0, 0 };
	memcpy(config, header, sizeof(header));
	memcpy(config + 0x40, msix, sizeof(msix));
	memory_fd = memfd_create("copier", MFD_CLOEXEC);
	if (memory_fd < 0 || ftruncate(memory_fd, MEMORY))
		exit(1);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	registers[IDENTITY / 8] = 0x72656970; // "pier"
}

int main(int count, char **words)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (count < 2)
		return 2;
	for (int i = 2; i < count; i++) {
		wants_twin |= !strcmp(words[i], "twin");
		has_multi |= !strcmp(words[i], "multi");
		is_slow |= !strcmp(words[i], "slow");
		sscanf(words[i], "die=%ld", &die_at);
		sscanf(words[i], "stall=%ld", &stall_at);
		sscanf(words[i], "lie=%lu", &lies);
	}
	set_up();
	strncpy(address.sun_path, words[1], sizeof(address.sun_path) - 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		return 1;
	puts("ready");
	fflush(stdout);
	while ((client = accept(listener, NULL, NULL)) >= 0)
		serve_client();
	return 0;
}
