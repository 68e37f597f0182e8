// A device of one's own: a register that counts how often it is read.
//   ioasis run --machine intel --device ./examples/counter-device.mjs,start=5 -- PROGRAM

export default {
	name: "counter",
	summary: "counts its reads",
	options: ({ start = "0" }) => ({ start: Number(start) }),
	identity: () => ({ vendor: 0x1234, device: 0xc0de, class: 0x00ff00, bars: [{ index: 0, size: 4096 }] }),
	create(_port, { start }) {
		let count = start;
		return {
			readRegister: (_bar, offset, size) => (offset === 0 ? BigInt(count++) : (1n << BigInt(8 * size)) - 1n),
			writeRegister() {},
			reset() {
				count = start;
			},
		};
	},
};
