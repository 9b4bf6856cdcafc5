#!/bin/bash
# Builds, once, what run-in-vm.sh boots: a Debian kernel that has rdma_rxe, and a small initramfs (busybox, the few
# modules, guest-init.sh). The guest's root is the host's own /, so nothing else is packed. Prints the folder, which
# lies in the user's cache. Needs apt-get, busybox-static, cpio and kmod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${RDMA_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/rdma-vm}
mkdir -p "$cache"

stamp=$(cat "$here/guest-init.sh" "$here/build-image.sh" | sha256sum | cut -c1-16)
finished() { for ok in "$cache"/*-"$stamp"/ok; do [ ! -e "$ok" ] || { echo "${ok%/ok}"; return 0; }; done; return 1; }
finished && exit 0
exec 9> "$cache/lock"
flock 9
finished && exit 0

package=${RDMA_VM_KERNEL_PKG:-$(apt-cache depends linux-image-amd64 2> /dev/null | awk '/Depends:/{print $2; exit}')}
if [ -z "$package" ]; then
  apt-get update -qq >&2
  package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/{print $2; exit}')
fi
[ -n "$package" ] || { echo "build-image: apt-get knows no kernel package (linux-image-amd64)" >&2; exit 1; }
version=${package#linux-image-}
out=$cache/$version-$stamp

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
exec 3>&1 1>&2
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package")

# Only what is needed of the 400 MB.
mkdir -p "$work/k"
modules=./lib/modules/$version
kernel=$modules/kernel
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -C "$work/k" -x --wildcards \
  "./boot/vmlinuz-$version" "./boot/config-$version" "$modules/modules.*" \
  "$kernel/drivers/virtio/*" "$kernel/drivers/char/virtio_console.ko" "$kernel/drivers/char/hw_random/*" \
  "$kernel/drivers/infiniband/core/*" "$kernel/drivers/infiniband/sw/*" "$kernel/drivers/net/veth.ko" \
  "$kernel/fs/*" "$kernel/net/9p/*" "$kernel/net/ipv4/*" "$kernel/net/ipv6/*" \
  "$kernel/crypto/*" "$kernel/arch/x86/crypto/*" "$kernel/lib/*"
grep -q '^CONFIG_RDMA_RXE=m' "$work/k/boot/config-$version" || { echo "kernel $version has no rdma_rxe"; exit 1; }
depmod -b "$work/k" "$version" 2> /dev/null

root=$work/initramfs
mkdir -p "$root"/{bin,dev,proc,sys,mods,host,rw,new}
cp /bin/busybox "$root/bin/"
install -m755 "$here/guest-init.sh" "$root/init"
wanted="virtio_pci virtio_console 9pnet_virtio 9p overlay veth ib_uverbs rdma_ucm rdma_rxe crc32_pclmul crc32_generic"
for module in $wanted; do # in the order in which they must be loaded
  modprobe -d "$work/k" -S "$version" --show-depends "$module" 2> /dev/null || true
done | awk '$1=="insmod" && !seen[$2]++ {print $2}' > "$work/list"
while read -r file; do
  cp "$file" "$root/mods/"
  basename "$file" >> "$root/mods/order"
done < "$work/list"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 > "$work/initramfs.gz")

mkdir -p "$out"
cp "$work/k/boot/vmlinuz-$version" "$out/vmlinuz"
mv "$work/initramfs.gz" "$out/initramfs.gz"
# An unpacked vmlinux boots through PVH: no unpacking of xz under emulation.
python3 - "$out/vmlinuz" "$out/vmlinux" << 'PY' || rm -f "$out/vmlinux"
import lzma, sys
data = open(sys.argv[1], 'rb').read()
start = data.find(b'\xfd7zXZ\x00')
if start < 0:
    sys.exit('the kernel is not packed with xz')
open(sys.argv[2], 'wb').write(lzma.LZMADecompressor().decompress(data[start:]))
PY
touch "$out/ok"
echo "$out" >&3
