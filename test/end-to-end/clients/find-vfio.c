/*
 * Finds and opens the VFIO device of a PCI function as QEMU does: by the directory vfio-dev of the function, and making sure
 * that what it has opened is the character device whose number sysfs gives.
 *
 *   find-vfio 0000:00:02.0
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { perror(#what); exit(1); } } while (0)

static char text[4096];

static const char *contents(const char *path)
{
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	CHECK(length >= 0);
	text[length] = 0;
	close(fd);
	return text;
}

int main(int argc, char **argv)
{
	char path[512], link[512], name[256] = "";
	unsigned int major_number, minor_number;
	struct stat st, by_path;
	struct statx stx;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", argv[argc - 1]);
	CHECK(stat(path, &st) == 0 && S_ISDIR(st.st_mode));

	/* The group, by its link. */
	char group[600];
	snprintf(group, sizeof(group), "%s/iommu_group", path);
	ssize_t length = readlink(group, link, sizeof(link) - 1);
	CHECK(length > 0);
	link[length] = 0;
	printf("group %s\n", strrchr(link, '/') + 1);

	strcat(path, "/vfio-dev");
	DIR *directory = opendir(path);
	CHECK(directory != NULL);
	while ((entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, "vfio", 4) == 0)
			snprintf(name, sizeof(name), "%.200s", entry->d_name);
	/* What openat() starts from may be the directory itself. */
	int uevent = openat(dirfd(directory), name, O_RDONLY | O_DIRECTORY);
	CHECK(uevent >= 0);
	CHECK(fstatat(uevent, "uevent", &st, 0) == 0 && S_ISREG(st.st_mode));
	CHECK(faccessat(uevent, "dev", R_OK, 0) == 0);
	CHECK(fstatat(uevent, "../../vendor", &st, 0) == 0 && S_ISREG(st.st_mode));
	CHECK(fstatat(uevent, "../../subsystem/devices", &st, 0) == 0 && S_ISDIR(st.st_mode));
	CHECK(fstatat(uevent, "nonesuch", &st, 0) == -1);
	closedir(directory);

	char number[1024];
	snprintf(number, sizeof(number), "%s/%s/dev", path, name);
	CHECK(sscanf(contents(number), "%u:%u", &major_number, &minor_number) == 2);

	snprintf(number, sizeof(number), "/dev/vfio/devices/%s", name);
	int fd = open(number, O_RDWR);
	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(st.st_rdev == makedev(major_number, minor_number));
	CHECK(stat(number, &by_path) == 0 && by_path.st_rdev == st.st_rdev);
	CHECK(by_path.st_ino == st.st_ino && by_path.st_dev == st.st_dev);
	CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0);
	CHECK(S_ISCHR(stx.stx_mode) && stx.stx_rdev_major == major_number && stx.stx_rdev_minor == minor_number);
	CHECK(access(number, R_OK | W_OK) == 0);
	CHECK(access(number, X_OK) == -1);

	/* Without opening it: by its name only, which can be opened for real later. */
	int by_name = open(number, O_PATH);
	CHECK(by_name >= 0);
	CHECK(fstat(by_name, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == by_path.st_rdev);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", by_name);
	CHECK(open(path, O_RDWR) >= 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link) - 1);
	CHECK(length > 0);
	link[length] = 0;
	CHECK(stat(path, &st) == 0 && st.st_rdev == by_path.st_rdev);
	printf("device %s\n", link);
	return 0;
}
