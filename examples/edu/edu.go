// A driver in user space for QEMU's educational device, in Go, with nothing but its standard library. It finds the device in
// /sys, binds it to an iommufd, maps a page for its DMA, has it copy the page's first half to the second through the memory that
// the device has itself, and cleans up:
//
//	go build -o edu examples/edu/edu.go
//	ioasis run --machine intel --walk 0x100000 -- ./edu
//
// The structs are those of <linux/iommufd.h> and <linux/vfio.h>; the registers those of docs/specs/edu.rst of QEMU.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const (
	iommuDestroy   = 0x3b80
	iommuIoasAlloc = 0x3b81
	iommuIoasMap   = 0x3b85
	iommuIoasUnmap = 0x3b86
	bindIommufd    = 0x3b00 + 118
	attachPt       = 0x3b00 + 119
	detachPt       = 0x3b00 + 120

	fixedIova, writeable, readable = 1, 2, 4

	bar0, config                                    = 0 << 40, 7 << 40
	command, busMaster                              = 4, 4
	dmaSource, dmaDestination, dmaCount, dmaCommand = 0x80, 0x88, 0x90, 0x98
	start, toMemory                                 = 1, 2
	ownMemory                                       = 0x40000

	page, half = 4096, 2048
	iova       = 0x100000
)

type bind struct {
	argsz, flags uint32
	iommufd      int32
	outDevid     uint32
	tokenUUID    uint64
}
type attach struct{ argsz, flags, ptID, pasid uint32 }
type detach struct{ argsz, flags, pasid uint32 }
type ioasAlloc struct{ size, flags, outIoasID uint32 }
type ioasMap struct {
	size, flags, ioasID, reserved uint32
	userVa, length, iova          uint64
}
type ioasUnmap struct {
	size, ioasID uint32
	iova, length uint64
}
type destroy struct{ size, id uint32 }

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func call[T any](name string, file *os.File, request uintptr, argument *T) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(argument)))
	if errno != 0 {
		check(name, errno)
	}
}

// findDevice returns the address of the first educational device, and the name of its file.
func findDevice() (address, name string) {
	functions, _ := filepath.Glob("/sys/bus/pci/devices/*")
	for _, function := range functions {
		vendor, _ := os.ReadFile(function + "/vendor")
		device, _ := os.ReadFile(function + "/device")
		if strings.TrimSpace(string(vendor)) != "0x1234" || strings.TrimSpace(string(device)) != "0x11e8" {
			continue
		}
		if files, _ := os.ReadDir(function + "/vfio-dev"); len(files) > 0 {
			return filepath.Base(function), files[0].Name()
		}
	}
	fmt.Fprintln(os.Stderr, "no device: start me with `ioasis run --machine intel -- ./edu`")
	os.Exit(1)
	return
}

func read(device *os.File, at int64, size int) uint64 {
	var bytes [8]byte
	_, err := device.ReadAt(bytes[:size], at)
	check("pread", err)
	return binary.LittleEndian.Uint64(bytes[:])
}

func write(device *os.File, at int64, size int, value uint64) {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], value)
	_, err := device.WriteAt(bytes[:size], at)
	check("pwrite", err)
}

// transfer is over when the start bit is clear again.
func transfer(device *os.File, source, destination, how uint64) {
	write(device, bar0+dmaSource, 8, source)
	write(device, bar0+dmaDestination, 8, destination)
	write(device, bar0+dmaCount, 8, half)
	write(device, bar0+dmaCommand, 8, how)
	for read(device, bar0+dmaCommand, 8)&start != 0 {
	}
}

func main() {
	address, name := findDevice()
	fmt.Printf("%s is %s\n", address, name)
	device, err := os.OpenFile("/dev/vfio/devices/"+name, os.O_RDWR, 0)
	check(name, err)
	iommu, err := os.OpenFile("/dev/iommu", os.O_RDWR, 0)
	check("/dev/iommu", err)
	memory, err := syscall.Mmap(-1, 0, page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	check("mmap", err)
	text := "through the IOMMU and back"
	copy(memory, text)

	call("VFIO_DEVICE_BIND_IOMMUFD", device, bindIommufd, &bind{argsz: 24, iommufd: int32(iommu.Fd())})
	ioas := ioasAlloc{size: 12}
	call("IOMMU_IOAS_ALLOC", iommu, iommuIoasAlloc, &ioas)
	call("IOMMU_IOAS_MAP", iommu, iommuIoasMap, &ioasMap{
		size: 40, flags: fixedIova | writeable | readable, ioasID: ioas.outIoasID,
		userVa: uint64(uintptr(unsafe.Pointer(&memory[0]))), length: page, iova: iova,
	})
	call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", device, attachPt, &attach{argsz: 16, ptID: ioas.outIoasID})

	write(device, config+command, 2, read(device, config+command, 2)|busMaster)
	transfer(device, iova, ownMemory, start)
	transfer(device, ownMemory, iova+half, start|toMemory)
	fmt.Printf("in the second half of the page: %s\n", memory[half:half+len(text)])

	call("VFIO_DEVICE_DETACH_IOMMUFD_PT", device, detachPt, &detach{argsz: 12})
	call("IOMMU_IOAS_UNMAP", iommu, iommuIoasUnmap, &ioasUnmap{size: 24, ioasID: ioas.outIoasID, iova: iova, length: page})
	call("IOMMU_DESTROY", iommu, iommuDestroy, &destroy{size: 8, id: ioas.outIoasID})
	device.Close()
	iommu.Close()
}
