// The engine as a library: builds a page table of an AMD IOMMU, maps memory into it, and prints how one address is
// translated. Run it with:  node examples/page-table.mjs   (in a checkout after `npm run build`)

import { amdv1, PageTable, TableMemory } from "ioasis";

const READ = 1;
const WRITE = 2;

const memory = new TableMemory();
const table = new PageTable(amdv1, { vaBits: 48, paBits: 52, topLevel: 2, growsTop: true }, memory);

// In frames of 4 KiB: 4 MiB of memory at 0x80000000, seen at IOVA 0x40000000, and one page beside it.
table.map(0x40000, 0x80000, 1024, READ | WRITE);
table.map(0x40400, 0x12345, 1, READ);

for (const iova of [0x40000, 0x40400, 0x99999]) {
	console.log(`\nIOVA ${hex(iova * 4096)}:`);
	for (const { name, index, tableAddress, entry, meaning } of table.explain(iova))
		console.log(`  ${name} ${index} of the table at ${hex(tableAddress)} is ${hex(entry)}: ${meaning}`);
}
console.log(`\n${memory.tablesInUse} tables of 4 KiB hold it`);

function hex(value) {
	return `0x${value.toString(16)}`;
}
