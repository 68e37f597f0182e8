// A recording of version 3 as both forms were first written, with each kind of entry and of question. No build may read it otherwise:
// people keep their recordings. It says what they may hold, not what any run does.

export const keptLines = String.raw`{"kind":"start","version":3,"machine":{"name":"x"},"policy":"mainline","memory":1048576,"ioasis":"0.1.0","program":["./vmm","-x"],"began":1790000000000}
{"kind":"memory","id":2,"name":"memory of process 4711"}
{"kind":"backing","id":3,"name":"memfd:guest-ram"}
{"kind":"owner","id":5,"name":"user 1000"}
{"kind":"open","time":12,"took":30,"thread":4711,"path":"/dev/iommu","answer":1}
{"kind":"open","asked":[{"ask":"capable","of":"CAP_IPC_LOCK","is":true}],"path":"/dev/vfio/devices/vfio0","answer":{"errno":"EACCES","reason":"not yours"}}
{"kind":"ioctl","time":100,"took":7,"thread":4711,"file":1,"memory":2,"owner":5,"number":"0x3b85","command":"IOMMU_IOAS_MAP","argument":"0x7ffc0010","in":"280000000300000001000000000000000000f07f0000000000300000000000000000010000000000","out":"280000000300000001000000000000000000f07f0000000000300000000000000040010000000000","asked":[{"ask":"read","memory":2,"at":"0x7ffc0010","bytes":"0102","length":8},{"ask":"write","memory":2,"at":"0x7ffc0018","bytes":"aabbcc"},{"ask":"write","memory":2,"at":"0x10000000000000000","bytes":"aabbcc","done":1},{"ask":"pages","memory":2,"page":524288,"count":3,"writable":true,"is":[[3,524288,3]]},{"ask":"pages","memory":2,"page":524291,"count":3,"writable":false,"is":[[3,524291,1],[4,0,2]]},{"ask":"pages","memory":2,"page":524299,"count":1,"writable":true,"is":{"errno":"EFAULT","reason":"nothing is there"}},{"ask":"alive","memory":2,"is":false},{"ask":"locked","memory":2,"is":300},{"ask":"capable","of":"CAP_IPC_LOCK","is":true},{"ask":"limit","owner":5,"is":65536},{"ask":"limit","owner":5,"is":null},{"ask":"uid","owner":5,"is":1000},{"ask":"fd","fd":7,"is":{"file":1}},{"ask":"fd","fd":-1,"is":"not open"},{"ask":"fd","fd":8,"is":{"backing":3}},{"ask":"fd","fd":9,"is":"eventfd"},{"ask":"fd","fd":10,"is":"other"},{"ask":"size","backing":3,"is":1048576},{"ask":"may write","backing":3,"is":false},{"ask":"install","file":6,"path":"[iommufd-fault]","is":11},{"ask":"install","file":7,"path":"[iommufd-fault]","is":{"errno":"EMFILE","reason":"no fd is free"},"lost":true},{"ask":"closed","nth":1,"is":[6]},{"ask":"dma read","backing":3,"at":"0x1000","bytes":"01020304","length":4},{"ask":"dma write","backing":3,"at":"0x1004","bytes":"05","done":0}],"answer":0}
{"kind":"ioctl","time":90,"took":7,"thread":4711,"file":1,"memory":2,"owner":5,"number":"0x3b85","command":"IOMMU_IOAS_MAP","argument":"0x7ffc0010","in":"280000000300000001000000000000000000f07f0000000000300000000000000040010000000000","answer":{"errno":"EEXIST","reason":"something is there"}}
{"kind":"ioctl","thread":4712,"file":1,"memory":2,"owner":5,"number":"0x3b85","command":"IOMMU_IOAS_MAP","argument":"0x7ffc0050","in":"280000000300000001000000000000000000f07f0000000000300000000000000000010000000000","out":"2800","answer":-3}
{"kind":"ioctl","thread":4712,"file":6,"memory":2,"owner":5,"number":"0x5401","argument":"0x0","answer":1}
{"kind":"read","time":200,"took":1,"thread":4711,"asked":[{"ask":"write","memory":2,"at":"0x7ffc0018","bytes":"aabbcc"}],"file":6,"memory":2,"at":"0x2000","length":64,"answer":3}
{"kind":"write","file":6,"memory":2,"at":"0x2000","length":16,"answer":{"errno":"EINVAL","reason":"too short"}}
{"kind":"pread","time":210,"file":8,"memory":2,"at":"0x2000","length":4,"answer":4,"position":"0x70000000008"}
{"kind":"pwrite","thread":4712,"file":8,"memory":2,"at":"0x2000","length":4,"answer":0,"position":"0x8"}
{"kind":"mmap","time":220,"file":8,"offset":"0x10000000000","length":8192,"answer":9}
{"kind":"store","time":230,"path":"/sys/bus/pci/drivers/vfio-pci/unbind","text":"0000:00:02.0\n","answer":0}
{"kind":"release","time":240,"what":9}
{"kind":"aside","time":250,"asked":[{"ask":"dma read","backing":3,"at":"0x1000","bytes":"01020304","length":4}]}
{"kind":"parked","time":260,"thread":4711,"reason":"an answer to a fault"}
{"kind":"dma","time":270,"device":"0000:00:02.0","pasid":0,"iova":"0xfffffffffffff000","length":512,"isWrite":false}
{"kind":"dma","time":280,"device":"0000:00:02.0","pasid":7,"iova":"0x1000","length":4,"isWrite":true,"fault":"nothing is mapped there"}
{"kind":"stale","time":290,"device":"0000:00:02.0","pasid":0,"iova":"0x1000","message":"it used what was cached"}
{"kind":"interrupt","time":300,"device":"0000:00:02.0","message":"MSI vector 0"}
{"kind":"device","time":310,"device":"0000:00:02.0","message":"a command failed"}
{"kind":"remark","message":"münchen"}
`;

/** The same in base64. */
export const keptBinary = `
iUlPQVNJUwoDAAAAAAAAAJIDAADkmINNGQAAAAwAAACMAQCJAXsidmVyc2lvbiI6MywibWFjaGluZSI6eyJuYW1lIjoieCJ9LCJwb2xpY3kiOi
JtYWlubGluZSIsIm1lbW9yeSI6MTA0ODU3NiwiaW9hc2lzIjoiMC4xLjAiLCJwcm9ncmFtIjpbIi4vdm1tIiwiLXgiXSwiYmVnYW4iOjE3OTAw
MDAwMDAwMDB9GQECFm1lbW9yeSBvZiBwcm9jZXNzIDQ3MTESAgMPbWVtZmQ6Z3Vlc3QtcmFtDAMFCXVzZXIgMTAwMBMkAxge5yQACi9kZXYvaW
9tbXUCN8QAABcvZGV2L3ZmaW8vZGV2aWNlcy92ZmlvMAElAAxDQVBfSVBDX0xPQ0sNAAlub3QgeW91cnPYAWW7sAEH5yQBAgUAhXcokIDw/wcB
ACgBAwMBAwECCfB/AQUwAQgBAAEhQAAYAAKigOD/DwgCAQIREgOqu8yRAICAgICAgICAgAIDqrvMAbKAgEADAwASBgMCAwABBIeAQAJyEAEOAB
Bub3RoaW5nIGlzIHRoZXJlExSsAiUDJgWAgAQGBQcF6AcIDgMBCAMCCBAEAwgSAAgUAQkDgIBAHgoGAA9baW9tbXVmZC1mYXVsdF0LygcGGAAN
bm8gZmQgaXMgZnJlZQsBAQYcgkAEBAECAwSdCgEFAB6lTxUHAQEhQAARABJzb21ldGhpbmcgaXMgdGhlcmUVBRroJAECBQHQgPD/BwEhAAACKA
AHDAVC6CQGAgUAgagBAhlmA9wBAeckBgKAQEABAQKqwN//DwOqu8wGE4cABgKAQBAWAAl0b28gc2hvcnQQKAAUCAKAQASIgICAgOABCAoJIugk
CAKAQAQIDSoAFAiAgICAgCCAQBI3KyAUACQvc3lzL2J1cy9wY2kvZHJpdmVycy92ZmlvLXBjaS91bmJpbmQNMDAwMDowMDowMi4wCgMsFAkQLR
QBDAOxwN//DwQEAQIDBBouFOckABRhbiBhbnN3ZXIgdG8gYSBmYXVsdB4vFAAMMDAwMDowMDowMi4wAIDg//8P/////w+ABAAibxQMB4AgAAQB
ABdub3RoaW5nIGlzIG1hcHBlZCB0aGVyZSIwFAEMAQGAIAAAF2l0IHVzZWQgd2hhdCB3YXMgY2FjaGVkFDEUAQwAAAAMTVNJIHZlY3RvciAwGD
IUAQwAAAAQYSBjb21tYW5kIGZhaWxlZA4TAAAAAAhtw7xuY2hlbg==
`;
