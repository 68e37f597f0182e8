//! A driver in user space for QEMU's educational device, in Rust, with the crates that Cloud Hypervisor uses: vfio-ioctls and
//! iommufd-ioctls. It finds the device in /sys, binds it to an iommufd, maps a page for its DMA, has it copy the page's first half
//! to the second through the memory that the device has itself, and cleans up:
//!
//!     cargo build --manifest-path examples/edu/rust/Cargo.toml --target-dir target
//!     ioasis run --machine intel --walk 0x100000 -- target/debug/edu
//!
//! Registers: docs/specs/edu.rst of QEMU.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error::Error, fs, ptr};

use iommufd_ioctls::IommuFd;
use vfio_bindings::bindings::vfio::{VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX};
use vfio_ioctls::{VfioDevice, VfioIommufd, VfioOps};

const COMMAND: u64 = 4;
const BUS_MASTER: u8 = 4;
const DMA_SOURCE: u64 = 0x80;
const DMA_DESTINATION: u64 = 0x88;
const DMA_COUNT: u64 = 0x90;
const DMA_COMMAND: u64 = 0x98;
const START: u64 = 1;
const TO_MEMORY: u64 = 2;
const OWN_MEMORY: u64 = 0x40000;

const PAGE: usize = 4096;
const HALF: usize = PAGE / 2;
const IOVA: u64 = 0x100000;

/// The first educational device in /sys.
fn find_device() -> Result<PathBuf, Box<dyn Error>> {
    let is = |path: &Path, name: &str, value: &str| {
        fs::read_to_string(path.join(name)).is_ok_and(|text| text.trim() == value)
    };
    for entry in fs::read_dir("/sys/bus/pci/devices")? {
        let path = entry?.path();
        if is(&path, "vendor", "0x1234") && is(&path, "device", "0x11e8") {
            return Ok(path);
        }
    }
    Err("no device: start me with `ioasis run --machine intel -- target/debug/edu`".into())
}

fn read(device: &VfioDevice, at: u64) -> u64 {
    let mut bytes = [0; 8];
    device.region_read(VFIO_PCI_BAR0_REGION_INDEX, &mut bytes, at);
    u64::from_le_bytes(bytes)
}

fn write(device: &VfioDevice, at: u64, value: u64) {
    device.region_write(VFIO_PCI_BAR0_REGION_INDEX, &value.to_le_bytes(), at);
}

/// It is over when the start bit is clear again.
fn copy(device: &VfioDevice, source: u64, destination: u64, how: u64) {
    write(device, DMA_SOURCE, source);
    write(device, DMA_DESTINATION, destination);
    write(device, DMA_COUNT, HALF as u64);
    write(device, DMA_COMMAND, how);
    while read(device, DMA_COMMAND) & START != 0 {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = find_device()?;
    let file = fs::read_dir(path.join("vfio-dev"))?.next().ok_or("vfio-pci hasn't got it")??;
    println!("{} is {}", path.file_name().unwrap().to_string_lossy(), file.file_name().to_string_lossy());

    let iommufd: Arc<dyn VfioOps> = Arc::new(VfioIommufd::new(Arc::new(IommuFd::new()?), None, None)?);
    let device = VfioDevice::new(&path, iommufd.clone(), true)?;
    // SAFETY: a new mapping, checked below.
    let page = unsafe {
        libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if page == libc::MAP_FAILED {
        return Err("mmap".into());
    }
    let page: *mut u8 = page.cast();
    let text = c"through the IOMMU and back".to_bytes_with_nul();
    // SAFETY: the page is ours, and longer than the text.
    unsafe { page.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    // SAFETY: the page stays where it is until it is unmapped.
    unsafe { iommufd.vfio_dma_map(IOVA, PAGE, page)? };

    let mut command = [0; 2];
    device.region_read(VFIO_PCI_CONFIG_REGION_INDEX, &mut command, COMMAND);
    command[0] |= BUS_MASTER;
    device.region_write(VFIO_PCI_CONFIG_REGION_INDEX, &command, COMMAND);
    copy(&device, IOVA, OWN_MEMORY, START);
    copy(&device, OWN_MEMORY, IOVA + HALF as u64, START | TO_MEMORY);
    // SAFETY: the device has written a text that ends with a zero.
    let copied = unsafe { CStr::from_ptr(page.add(HALF).cast()) };
    println!("in the second half of the page: {}", copied.to_str()?);

    iommufd.vfio_dma_unmap(IOVA, PAGE)?;
    // The file of the device, the IOAS and the iommufd are given back where the values go.
    Ok(())
}
