#!/bin/busybox sh
# What the guest of test/guests runs, as its first process: Debian's busybox is all that it has. The disk is ext4 with the file
# from-host and its checksum; from-guest is written beside it. Lines that
# begin with "guest:" are compared with docs/qemu.md, and the checksum with that of the file in the disk's image.

export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
# The kernel's own lines would stand between ours.
echo 1 >/proc/sys/kernel/printk

end() {
	[ -z "$1" ] || echo "guest: $1"
	poweroff -f
}

wait_for_disk() {
	for _ in $(seq 60); do
		[ -b /dev/nvme0n1 ] && return
		sleep 1
	done
	dmesg | grep -E 'nvme|DMAR|iommu'
	end "no NVMe disk after a minute"
}

for module in /modules/*; do
	insmod "$module"
done
wait_for_disk
function=$(readlink -f /sys/class/nvme/nvme0/device)
type=$(cat "$function/iommu_group/type" 2>/dev/null) || type="none"
echo "guest: ${function##*/} is nvme0, its IOMMU's domain: $type"

mount -t ext4 /dev/nvme0n1 /mnt || end "the disk can't be mounted"
cd /mnt || end
sha256sum -c -s from-host.sha256 || end "from-host is wrong"
echo "guest: from-host is right"

size=$(($(stat -c %s from-host) >> 20))
dd if=/dev/urandom of=from-guest bs=1M count=$size 2>/dev/null || end "from-guest can't be written"
sha256sum from-guest >from-guest.sha256
echo "checksum: $(cut -d ' ' -f 1 from-guest.sha256)"
cd /
umount /mnt || end "the disk can't be unmounted"
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 /dev/nvme0n1 /mnt || end "the disk can't be mounted again"
cd /mnt || end
sha256sum -c -s from-guest.sha256 || end "from-guest is wrong"
echo "guest: from-guest is right: $size MiB"
cd /
umount /mnt || end "the disk can't be unmounted again"

# Of each vector: who has it, and how often it came, on all processors.
awk '/nvme0q/ {
	count = 0
	for (i = 2; $i ~ /^[0-9]+$/; i++) count += $i
	print "guest: " $NF (count > 0 ? " interrupts" : " is silent")
}' /proc/interrupts
end "done"
