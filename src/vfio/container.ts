// /dev/vfio/vfio as VFIO itself has it: groups are put into a container, and a back end maps memory for all of them.
// drivers/vfio/container.c. A kernel can have iommufd in its place: iommufd/vfio-compat.

import { allocation } from "../faults/faults.js";
import type { Caller, Opener } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { PagingDomain } from "../iommu/core/iommu.js";
import type { AddressMap, Range } from "../iommu/dma/mapping-history.js";
import { Errno } from "../uapi/errno.js";
import { nameIn } from "../uapi/field.js";
import { belongsTo, nameOfIoctl, strayIoctl } from "../uapi/ioctl-names.js";
import { Turn, Turns } from "../uapi/turns.js";
import { VFIO_API_VERSION, VfioCheckExtension, VfioExtension, VfioGetApiVersion, VfioSetIommu } from "../uapi/vfio.js";
import type { VfioGroup } from "./group.js";
import { type1Has, type1Ioctl } from "./type1/ioctls.js";
import { Type1, type Type1Platform } from "./type1/type1.js";

/** What a container is of a machine's. */
export interface ContainerPlatform extends Type1Platform {
	/** VFIO's parameter enable_unsafe_noiommu_mode. */
	readonly takesNoIommu: boolean;
}

/** What a container does with its groups. */
type BackEnd = { readonly kind: "type1"; readonly type1: Type1 } | { readonly kind: "noiommu" };

/** Lives as long as its file is open, or a group is in it. */
export class Container {
	/** Of the calls that work on it. */
	readonly turn = new Turn("another call of this container is under way");
	readonly #platform: ContainerPlatform;
	/** The newest first. */
	readonly #groups: VfioGroup[] = [];
	#backEnd: BackEnd | undefined;

	constructor(platform: ContainerPlatform) {
		allocation("a container");
		this.#platform = platform;
	}

	/** Whether a device of its groups can be opened: SET_IOMMU has been called. */
	get hasBackEnd(): boolean {
		return this.#backEnd !== undefined;
	}

	get groups(): readonly VfioGroup[] {
		return this.#groups;
	}

	/** How many mappings there are. */
	get mappings(): number {
		return this.#backEnd?.kind === "type1" ? this.#backEnd.type1.mappings.size : 0;
	}

	/** Where it is mapped; undefined as long as there is nothing to map with. */
	get map(): AddressMap | undefined {
		return this.#backEnd?.kind === "type1" ? this.#backEnd.type1 : undefined;
	}

	/** What is mapped, in order. */
	get mapped(): Iterable<Range> {
		return this.#backEnd?.kind === "type1" ? this.#backEnd.type1.mappings : [];
	}

	/** What its groups translate through. */
	get domains(): readonly PagingDomain[] {
		return this.#backEnd?.kind === "type1" ? this.#backEnd.type1.domains : [];
	}

	/**
	 * Puts a group into the container, and gives it what the others have.
	 * @throws EPERM for a group that is in other hands, or doesn't go with those that are there, and what the back end throws
	 */
	add(group: VfioGroup, opener: Opener): void {
		if (group.isNoIommu && !opener.capable("CAP_SYS_RAWIO"))
			throw new Errno(
				"EPERM",
				`group ${group.name} has no IOMMU: to put it into a container takes CAP_SYS_RAWIO`,
				"noiommu-rights",
			);
		if (this.#groups.length > 0 && this.#groups[0].isNoIommu !== group.isNoIommu)
			throw new Errno(
				"EPERM",
				`group ${group.name} and the container's: those with an IOMMU and those without don't mix`,
				"noiommu-mix",
			);
		if (!group.isNoIommu) group.iommuGroup.claimAlone(group, `a container, by ${group.path},`);
		if (this.#backEnd?.kind === "type1") {
			try {
				this.#backEnd.type1.attachGroup(group.iommuGroup);
			} catch (error) {
				group.iommuGroup.release();
				throw error;
			}
		}
		this.#groups.unshift(group);
	}

	/** Takes a group out. The last one takes the back end, and all mappings, with it. */
	remove(group: VfioGroup): void {
		if (this.#backEnd?.kind === "type1") this.#backEnd.type1.detachGroup(group.iommuGroup);
		if (!group.isNoIommu) group.iommuGroup.release();
		this.#groups.splice(this.#groups.indexOf(group), 1);
		if (this.#groups.length > 0) return;
		if (this.#backEnd?.kind === "type1") this.#backEnd.type1.release();
		this.#backEnd = undefined;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		switch (command) {
			case VfioGetApiVersion.number:
				return VFIO_API_VERSION;
			case VfioCheckExtension.number:
				return this.#hasExtension(argument) ? 1 : 0;
			case VfioSetIommu.number:
				this.#setIommu(caller, argument);
				return 0;
			default:
				this.#callBackEnd(caller, command, argument);
				return 0;
		}
	}

	/** As long as there is no back end, whether one of those that suit has it. */
	#hasExtension(extension: number): boolean {
		const asksFor = (kind: BackEnd["kind"]) =>
			this.#backEnd === undefined ? this.#suits(kind) : this.#backEnd.kind === kind;
		if (asksFor("type1")) {
			const type1 = this.#backEnd?.kind === "type1" ? this.#backEnd.type1 : undefined;
			if (type1Has(type1, extension)) return true;
		}
		return asksFor("noiommu") && extension === VfioExtension.NOIOMMU_IOMMU && this.#platform.takesNoIommu;
	}

	/** Groups with an IOMMU take the one, those without the other. */
	#suits(kind: BackEnd["kind"]): boolean {
		return this.#groups.length === 0 || this.#groups[0].isNoIommu === (kind === "noiommu");
	}

	/** VFIO_SET_IOMMU */
	#setIommu(caller: Caller, type: number): void {
		if (this.#groups.length === 0)
			throw new Errno(
				"EINVAL",
				"the container has no group yet: VFIO_GROUP_SET_CONTAINER comes before SET_IOMMU",
				"container-order",
			);
		if (this.#backEnd !== undefined)
			throw new Errno(
				"EINVAL",
				"the container has its IOMMU already: it keeps it until its last group leaves",
				"container-order",
			);
		this.#backEnd = this.#suits("type1") ? this.#openType1(type) : this.#openNoIommu(caller, type);
	}

	#openType1(type: number): BackEnd {
		if (!type1Has(undefined, type))
			throw new Errno(
				"ENODEV",
				`no back end for groups with an IOMMU is of type ${nameIn(VfioExtension, type)}: TYPE1_IOMMU and TYPE1v2_IOMMU are`,
				"container-type",
			);
		if (type !== VfioExtension.TYPE1_IOMMU && type !== VfioExtension.TYPE1v2_IOMMU)
			throw new Errno(
				"EINVAL",
				`${nameIn(VfioExtension, type)} is an extension, and not a type of IOMMU`,
				"container-type",
			);
		const type1 = new Type1(this.#platform, type === VfioExtension.TYPE1v2_IOMMU);
		const attached: VfioGroup[] = [];
		try {
			for (const group of this.#groups) {
				type1.attachGroup(group.iommuGroup);
				attached.push(group);
			}
		} catch (error) {
			for (const group of attached.reverse()) type1.detachGroup(group.iommuGroup);
			type1.release();
			throw error;
		}
		return { kind: "type1", type1 };
	}

	#openNoIommu(caller: Caller, type: number): BackEnd {
		if (type !== VfioExtension.NOIOMMU_IOMMU || !this.#platform.takesNoIommu)
			throw new Errno(
				"ENODEV",
				`no back end for groups without an IOMMU is of type ${nameIn(VfioExtension, type)}: only NOIOMMU_IOMMU is`,
				"container-type",
			);
		if (!caller.capable("CAP_SYS_RAWIO"))
			throw new Errno(
				"EPERM",
				"to set NOIOMMU_IOMMU, by which devices reach all memory, takes CAP_SYS_RAWIO",
				"noiommu-rights",
			);
		return { kind: "noiommu" };
	}

	#callBackEnd(caller: Caller, command: number, argument: number): void {
		if (this.#backEnd?.kind !== "type1") throw this.#refusal(command);
		type1Ioctl(this.#backEnd.type1, caller, command, argument);
	}

	/** Why there is nothing that could answer. */
	#refusal(command: number): Errno {
		const { hasBackEnd } = this;
		if (!belongsTo("container", command))
			return strayIoctl(hasBackEnd ? "ENOTTY" : "EINVAL", command, "/dev/vfio/vfio", ["container"]);
		if (hasBackEnd)
			return new Errno(
				"ENOTTY",
				`${nameOfIoctl(command, "container")}: without an IOMMU the container has nothing to map with`,
			);
		return new Errno(
			"EINVAL",
			`${nameOfIoctl(command, "container")}: the container has no IOMMU yet, VFIO_SET_IOMMU comes first`,
			"container-order",
		);
	}
}

/** An open of /dev/vfio/vfio. */
export class ContainerFile implements OpenFile {
	readonly path = "/dev/vfio/vfio";
	readonly container: Container;
	readonly #onRelease: () => void;

	constructor(container: Container, onRelease: () => void = () => {}) {
		this.container = container;
		this.#onRelease = onRelease;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		using _ = Turns.take(this.container.turn);
		return this.container.ioctl(caller, command, argument);
	}

	/** Groups that are in the container keep it. */
	release(): void {
		this.#onRelease();
	}
}
