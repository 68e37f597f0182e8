import { defineConfig } from "vitepress";

const page = (text, link) => ({ text, link: `/${link}` });

export default defineConfig({
	title: "Ioasis",
	description: "Linux's IOMMUFD and VFIO in user space",
	srcDir: "pages",
	outDir: "dist",
	// Angle brackets and braces of kernel structs are text, not Vue's.
	markdown: { html: false, attrs: { disable: true } },
	themeConfig: {
		search: { provider: "local" },
		outline: { level: [2, 3] },
		sidebar: [
			{
				text: "Begin",
				items: [page("Ioasis", ""), page("Tutorial", "tutorial"), page("Questions", "faq"), page("In a CI", "ci")],
			},
			{
				text: "Use",
				items: [
					page("The command", "cli"),
					page("Every errno", "errno"),
					page("DMA that goes wrong", "dma-errors"),
					page("Machines", "machines"),
					page("Devices", "devices"),
					page("NVMe", "nvme"),
					page("82576", "igb"),
					page("IOAT and DSA", "ioat-dsa"),
					page("vfio-user", "vfio-user"),
					page("All machines at once", "matrix"),
					page("Recordings", "record"),
					page("Programs that were tried", "clients"),
				],
			},
			{
				text: "Understand",
				items: [
					page("How an HWPT gets its domain", "policies"),
					page("How true it is", "fidelity"),
					page("Who is trusted", "security"),
					page("How it is made", "architecture"),
					page("How fast it is", "performance"),
				],
			},
			{
				text: "As a library",
				items: [page("Reference", "api/"), page("Changes", "changelog"), page("Contributing", "contributing")],
			},
		],
	},
});
