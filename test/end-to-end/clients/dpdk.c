// Two network cards at the ends of one wire, driven by DPDK's own driver: sends frames both ways on all queues, and looks at each that
// arrives. What the driver can leave to the card is left to it: checksums, VLAN tags, segmentation, the choice of a queue.
// dpdk EAL-ARGUMENTS -- COUNT
#define ALLOW_EXPERIMENTAL_API // rte_ipv4_udptcp_cksum_verify()
#include <stdio.h>
#include <stdlib.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_interrupts.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_thash.h>
#include <rte_udp.h>

enum { QUEUES = 4, DESCRIPTORS = 512, BURST = 32, PORTS = 2, SEGMENT = 1000, LONGEST = 12000, PATIENCE = 20000 /* ms */ };
enum { L2 = sizeof(struct rte_ether_hdr), L3 = sizeof(struct rte_ipv4_hdr), UDP = sizeof(struct rte_udp_hdr), TCP = sizeof(struct rte_tcp_hdr) };

// In front of a UDP datagram's data. Where TCP segments data, number, place and length are in its header: ack, seq and window.
struct label { rte_be32_t number; };

static struct rte_mempool *pool;
static struct rte_ether_addr macs[PORTS];
static uint16_t reta[128];
static uint8_t key[40];
static uint8_t *arrived[PORTS];   // by number: whether a datagram has, and for segmented ones how much has
static uint16_t *partly[PORTS];
static unsigned long sent[PORTS], whole[PORTS], frames[PORTS], wrong, perQueue[PORTS][QUEUES];
static volatile int linkChanges;

static void require(int condition, const char *what)
{
	if (condition)
		return;
	printf("%s: %s\n", what, rte_strerror(rte_errno));
	exit(1);
}

static unsigned is_tcp(uint32_t number) { return number % 16 == 7; }
static int has_tag(uint32_t number) { return number % 5 == 1; }
static uint16_t tag_of(uint32_t number) { return 1 + number % 4000; }
static uint16_t length_of(uint32_t number) { return is_tcp(number) ? 1 + number * 271 % LONGEST : sizeof(struct label) + number * 37 % 1400; }
static uint8_t byte_of(uint32_t number, uint32_t place) { return (number * 2654435761u + place * 40503u) >> 13; }

static void note_wrong(uint32_t number, const char *what)
{
	if (wrong++ < 10)
		printf("frame %u: %s\n", number, what);
}

// --- Sending ---

static struct rte_mbuf *append(struct rte_mbuf *first, const uint8_t *from, unsigned length)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(first);
	while (length > 0) {
		unsigned room = rte_pktmbuf_tailroom(last), piece = RTE_MIN(room, length);
		if (piece == 0) {
			last = rte_pktmbuf_alloc(pool);
			if (last == NULL || rte_pktmbuf_chain(first, last) != 0)
				return NULL;
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(last, void *, last->data_len), from, piece);
		last->data_len += piece;
		first->pkt_len += piece;
		from += piece;
		length -= piece;
	}
	return first;
}

static struct rte_mbuf *make(int from, uint32_t number)
{
	static uint8_t data[LONGEST + sizeof(struct label)];
	uint8_t header[L2 + L3 + TCP] __rte_aligned(4) = {0};
	struct rte_ether_hdr *ether = (void *)header;
	struct rte_ipv4_hdr *ip = (void *)(header + L2);
	struct rte_udp_hdr *udp = (void *)(ip + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool);
	if (frame == NULL)
		return NULL;
	uint16_t length = length_of(number), l4 = is_tcp(number) ? TCP : UDP;
	ether->dst_addr = macs[!from];
	ether->src_addr = macs[from];
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16(L3 + l4 + length);
	ip->time_to_live = 64;
	ip->next_proto_id = is_tcp(number) ? IPPROTO_TCP : IPPROTO_UDP;
	ip->src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, from, 1) + number % 200);
	ip->dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, !from, 1));
	frame->l2_len = L2;
	frame->l3_len = L3;
	frame->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	if (has_tag(number)) {
		frame->ol_flags |= RTE_MBUF_F_TX_VLAN;
		frame->vlan_tci = tag_of(number);
	}
	for (unsigned i = 0; i < length; i++)
		data[i] = byte_of(number, i);
	if (is_tcp(number)) {
		tcp->src_port = rte_cpu_to_be_16(number % 500);
		tcp->dst_port = rte_cpu_to_be_16(80);
		tcp->recv_ack = rte_cpu_to_be_32(number);
		tcp->rx_win = rte_cpu_to_be_16(length);
		tcp->data_off = TCP / 4 << 4;
		tcp->tcp_flags = RTE_TCP_ACK_FLAG;
		frame->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
		frame->l4_len = TCP;
		frame->tso_segsz = SEGMENT;
		tcp->cksum = rte_ipv4_phdr_cksum(ip, frame->ol_flags);
	} else {
		((struct label *)data)->number = rte_cpu_to_be_32(number);
		udp->src_port = rte_cpu_to_be_16(number % 500);
		udp->dst_port = rte_cpu_to_be_16(9);
		udp->dgram_len = rte_cpu_to_be_16(UDP + length);
		frame->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
		udp->dgram_cksum = rte_ipv4_phdr_cksum(ip, frame->ol_flags);
	}
	return append(frame, header, L2 + L3 + l4) ? append(frame, data, length) : NULL;
}

// --- What arrives ---

static void check_queue(const struct rte_mbuf *frame, const struct rte_ipv4_hdr *ip, unsigned queue, uint32_t number)
{
	const rte_be16_t *ports = (const rte_be16_t *)(ip + 1); // both kinds have them first
	struct rte_ipv4_tuple tuple = {
		.src_addr = rte_be_to_cpu_32(ip->src_addr),
		.dst_addr = rte_be_to_cpu_32(ip->dst_addr),
		.sport = rte_be_to_cpu_16(ports[0]),
		.dport = rte_be_to_cpu_16(ports[1]),
	};
	uint32_t hash = rte_softrss((uint32_t *)&tuple, RTE_THASH_V4_L4_LEN, key);
	if (!(frame->ol_flags & RTE_MBUF_F_RX_RSS_HASH) || frame->hash.rss != hash)
		note_wrong(number, "its hash is another");
	else if (reta[hash % 128] != queue)
		note_wrong(number, "it is in another queue than its hash says");
}

static void check(int port, unsigned queue, struct rte_mbuf *frame, uint32_t count)
{
	static uint8_t bytes[16384];
	const uint8_t *all = rte_pktmbuf_read(frame, 0, frame->pkt_len, bytes);
	const struct rte_ether_hdr *ether = (const void *)all;
	const struct rte_ipv4_hdr *ip = (const void *)(all + L2);
	const void *l4 = ip + 1;
	unsigned isTcp = ip->next_proto_id == IPPROTO_TCP;
	const struct rte_tcp_hdr *tcp = l4;
	const uint8_t *data = (const uint8_t *)l4 + (isTcp ? TCP : UDP);
	unsigned length = rte_be_to_cpu_16(ip->total_length) - L3 - (isTcp ? TCP : UDP);
	uint32_t number = rte_be_to_cpu_32(isTcp ? tcp->recv_ack : ((const struct label *)data)->number);
	uint32_t start = isTcp ? rte_be_to_cpu_32(tcp->sent_seq) : 0;
	frames[port]++;
	perQueue[port][queue]++;
	if (number >= count || is_tcp(number) != isTcp || start + length > length_of(number) || frame->pkt_len < L2 + 0u + rte_be_to_cpu_16(ip->total_length)) {
		note_wrong(number, "nothing like it was sent");
		return;
	}
	if (!rte_is_same_ether_addr(&ether->dst_addr, &macs[port]) || !rte_is_same_ether_addr(&ether->src_addr, &macs[!port]))
		note_wrong(number, "its addresses are others");
	for (unsigned i = isTcp ? 0 : sizeof(struct label); i < length; i++) {
		if (data[i] != byte_of(number, start + i)) {
			note_wrong(number, "its data is another");
			break;
		}
	}
	if (rte_ipv4_cksum(ip) != 0 && rte_raw_cksum(ip, L3) != 0xffff)
		note_wrong(number, "the header's checksum is wrong");
	if (rte_ipv4_udptcp_cksum_verify(ip, l4) != 0)
		note_wrong(number, "the data's checksum is wrong");
	if ((frame->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD || (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		note_wrong(number, "the card doesn't say that its checksums are right");
	if (has_tag(number) != !!(frame->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) || (has_tag(number) && frame->vlan_tci != tag_of(number)))
		note_wrong(number, "its tag is another");
	check_queue(frame, ip, queue, number);
	partly[port][number] += length;
	if (partly[port][number] == length_of(number) && ++arrived[port][number] == 1)
		whole[port]++;
	else if (partly[port][number] > length_of(number))
		note_wrong(number, "it came twice");
}

static void receive(int port, uint32_t count)
{
	struct rte_mbuf *burst[BURST];
	for (unsigned queue = 0; queue < QUEUES; queue++) {
		unsigned got = rte_eth_rx_burst(port, queue, burst, BURST);
		for (unsigned i = 0; i < got; i++)
			check(port, queue, burst[i], count);
		rte_pktmbuf_free_bulk(burst, got);
	}
}

static void send_some(int port, uint32_t count)
{
	static struct rte_mbuf *waiting[PORTS];
	for (unsigned i = 0; i < BURST && sent[port] < count; i++) {
		if (waiting[port] == NULL)
			waiting[port] = make(port, sent[port]);
		require(waiting[port] != NULL, "memory for a frame");
		if (rte_eth_tx_burst(port, sent[port] % QUEUES, &waiting[port], 1) == 0)
			return;
		waiting[port] = NULL;
		sent[port]++;
	}
}

// --- The cards ---

static int link_changed(uint16_t port, enum rte_eth_event_type event, void *argument, void *more)
{
	(void)port, (void)event, (void)argument, (void)more;
	linkChanges++;
	return 0;
}

static void set_up(int port)
{
	struct rte_eth_conf conf = {
		.rxmode = {.mq_mode = RTE_ETH_MQ_RX_RSS, .offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_RSS_HASH},
		.txmode = {.offloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS},
		.rx_adv_conf.rss_conf = {.rss_key = key, .rss_key_len = sizeof key, .rss_hf = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP},
		.intr_conf = {.lsc = 1, .rxq = 1},
	};
	struct rte_eth_rss_reta_entry64 table[2] = {{.mask = ~0UL}, {.mask = ~0UL}};
	require(rte_eth_dev_configure(port, QUEUES, QUEUES, &conf) == 0, "the port");
	for (unsigned queue = 0; queue < QUEUES; queue++) {
		require(rte_eth_rx_queue_setup(port, queue, DESCRIPTORS, 0, NULL, pool) == 0, "a queue to receive");
		require(rte_eth_tx_queue_setup(port, queue, DESCRIPTORS, 0, NULL) == 0, "a queue to send");
	}
	require(rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, link_changed, NULL) == 0, "a callback");
	require(rte_eth_macaddr_get(port, &macs[port]) == 0, "the address");
	require(rte_eth_dev_start(port) == 0, "starting");
	for (unsigned i = 0; i < 128; i++)
		table[i / 64].reta[i % 64] = reta[i];
	require(rte_eth_dev_rss_reta_update(port, table, 128) == 0, "the redirection table");
}

static int is_up(int port)
{
	struct rte_eth_link link;
	require(rte_eth_link_get_nowait(port, &link) == 0, "the link");
	return link.link_status && link.link_speed == 1000 && link.link_duplex;
}

static int wait_until(int (*is)(int), int port)
{
	for (int i = 0; i < PATIENCE && !is(port); i++)
		rte_delay_ms(1);
	return is(port);
}

static int has_changed(int times) { return linkChanges >= times; }
static int is_down(int port) { return !is_up(port); }

// A queue that sleeps until something arrives.
static void interrupts(uint32_t number)
{
	struct rte_epoll_event event;
	struct rte_mbuf *frame = make(0, number);
	unsigned queues = 0;
	for (unsigned queue = 0; queue < QUEUES; queue++) {
		require(rte_eth_dev_rx_intr_ctl_q(1, queue, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, NULL) == 0, "an interrupt");
		require(rte_eth_dev_rx_intr_enable(1, queue) == 0, "enabling it");
	}
	require(rte_eth_tx_burst(0, 0, &frame, 1) == 1, "one more");
	// What has arrived before may have interrupts that come now.
	while (queues == 0) {
		require(rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, PATIENCE) == 1, "the interrupt");
		for (unsigned queue = 0; queue < QUEUES; queue++) {
			struct rte_mbuf *got;
			if (rte_eth_rx_burst(1, queue, &got, 1) == 1)
				queues |= 1 << queue, rte_pktmbuf_free(got);
			rte_eth_dev_rx_intr_enable(1, queue);
		}
	}
	printf("an interrupt, and %d queue with a frame\n", __builtin_popcount(queues));
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	require(used >= 0, "the EAL");
	require(rte_eth_dev_count_avail() == PORTS, "two ports");
	uint32_t count = atoi(argv[used + 1]);
	pool = rte_pktmbuf_pool_create("frames", 16383, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	require(pool != NULL, "memory");
	for (unsigned i = 0; i < sizeof key; i++)
		key[i] = i * 73 + 11;
	for (unsigned i = 0; i < 128; i++)
		reta[i] = (i * 7 + i / 5) % QUEUES;
	for (int port = 0; port < PORTS; port++) {
		arrived[port] = calloc(count, 1);
		partly[port] = calloc(count, sizeof **partly);
		set_up(port);
	}
	require(wait_until(is_up, 0) && wait_until(is_up, 1), "the link is down");
	printf("link up\n");

	unsigned long before = 0, now;
	uint64_t last = rte_get_timer_cycles();
	while ((now = whole[0] + whole[1]) < 2ul * count && rte_get_timer_cycles() - last < PATIENCE / 1000 * rte_get_timer_hz()) {
		if (now != before)
			last = rte_get_timer_cycles();
		before = now;
		for (int port = 0; port < PORTS; port++) {
			send_some(port, count);
			receive(port, count);
		}
	}
	for (int port = 0; port < PORTS; port++) {
		struct rte_eth_stats stats;
		unsigned used = 0;
		for (unsigned queue = 0; queue < QUEUES; queue++)
			used += perQueue[port][queue] > 0;
		require(rte_eth_stats_get(port, &stats) == 0, "the statistics");
		printf("port %d: %lu sent, %lu got in %u queues, %lu missed, %lu in error\n", port, sent[port], whole[port], used, stats.imissed, stats.ierrors);
		if (stats.ipackets != frames[port])
			printf("port %d counts %lu, and %lu arrived\n", port, stats.ipackets, frames[port]);
	}
	printf("%lu wrong\n", wrong);

	interrupts(count - count % 16);
	linkChanges = 0;
	require(rte_eth_dev_set_link_down(1) == 0, "switching off");
	require(wait_until(is_down, 0) && wait_until(has_changed, 1), "the link is up still");
	printf("link down\n");
	for (int port = 0; port < PORTS; port++)
		require(rte_eth_dev_stop(port) == 0 && rte_eth_dev_close(port) == 0, "closing");
	return rte_eal_cleanup() != 0 || wrong != 0;
}
