#!/bin/bash
# run-in-vm.sh [--share DIR]... COMMAND [ARG]...
# Runs COMMAND in a QEMU guest with software RDMA (RoCE) devices, two a cable. The guest sees the host's / read-only
# (writes go to memory and are lost), and each shared DIR (default: the current folder) read-write at the same path.
# stdout, stderr and the exit status are the command's. 125: the guest did not come up or was ended for time.
# The guest has no network card: traffic stays inside it.
#
# RDMA_VM_LINKS=1: cables; cable i joins rxe(2i) and rxe(2i+1) (a mesh of 4 needs 6).
# RDMA_VM_PASS="NAME ..."  variables to hand to the command   RDMA_VM_TIMEOUT=600  seconds
# RDMA_VM_ACCEL=auto|kvm|tcg  RDMA_VM_CPU=model  RDMA_VM_SMP=2  RDMA_VM_MEM=2048 (MiB)
# RDMA_VM_LOG=file  guest's console  RDMA_VM_VERBOSE=1
# In the guest: RDMA_VM_GID_rxeN (index of the IPv4 GID), RDMA_VM_IP_rxeN.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shares=()
while [ $# -gt 0 ]; do case $1 in
  --share) shares+=("$(realpath "$2")"); shift 2;; --) shift; break;; *) break;; esac; done
[ $# -gt 0 ] || { sed -n '2,12p' "$0" >&2; exit 2; }
[ ${#shares[@]} -gt 0 ] || shares=("$PWD")
t0=$(date +%s.%N)
img=$("$here/build-image.sh")
ctl=$(mktemp -d); trap 'rm -rf "$ctl"' EXIT
printf '%s\n' "${shares[@]}" > "$ctl/shares"
{ printf 'VM_CWD=%q\n' "$PWD"; for v in RDMA_VM_LINKS ${RDMA_VM_PASS:-}; do printf 'export %s=%q\n' "$v" "${!v:-}"; done; } > "$ctl/env.sh"
printf '%q ' "$@" > "$ctl/cmd.sh"; echo >> "$ctl/cmd.sh"
accel=${RDMA_VM_ACCEL:-auto}
if [ "$accel" = auto ]; then
  accel=tcg; grep -qEw 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ] && accel=kvm
fi
case $accel in kvm) acc=(-accel kvm -cpu host,-arch-capabilities);; *) # x86-64-v3. Not "-cpu max": SMAP and ERMS (rep movsb byte by byte) made rxe 2 to 60 times slower.
  acc=(-accel tcg,thread=multi,tb-size=256 -cpu "${RDMA_VM_CPU:-Haswell-noTSX,-erms,-pcid,-invpcid,-x2apic,-tsc-deadline}");; esac
kern=$img/vmlinux; [ -e "$kern" ] || kern=$img/vmlinuz
log=${RDMA_VM_LOG:-$ctl/console}
sharg=()
for i in "${!shares[@]}"; do sharg+=(-virtfs "local,path=${shares[$i]},mount_tag=share$i,security_model=none,multidevs=remap"); done
exec 4> >(cat >&1) 5> >(cat >&2)
rc=0
timeout -k 5 "${RDMA_VM_TIMEOUT:-600}" qemu-system-x86_64 "${acc[@]}" -M q35,usb=off,vmport=off,hpet=off,acpi=on -nodefaults -no-user-config -no-reboot \
  -smp "${RDMA_VM_SMP:-2}" -m "${RDMA_VM_MEM:-2048}" -display none -nic none \
  -kernel "$kern" -initrd "$img/initramfs.gz" \
  -append "console=ttyS0 loglevel=4 panic=-1 mitigations=off random.trust_cpu=on tsc=reliable no_timer_check nokaslr ${RDMA_VM_APPEND:-}" \
  -serial "file:$log" \
  -add-fd fd=4,set=4 -add-fd fd=5,set=5 \
  -chardev file,id=out,path=/dev/fdset/4,append=on -chardev file,id=err,path=/dev/fdset/5,append=on \
  -device virtio-serial-pci -device virtserialport,chardev=out,name=out -device virtserialport,chardev=err,name=err \
  -virtfs "local,path=/,mount_tag=hostroot,security_model=none,multidevs=remap,readonly=on" \
  -virtfs "local,path=$ctl,mount_tag=vmctl,security_model=none" \
  "${sharg[@]}" < /dev/null & q=$!
trap 'kill $q 2>/dev/null; rm -rf "$ctl"; exit 143' TERM INT HUP
wait $q || rc=$?
exec 4>&- 5>&-
if [ -n "${RDMA_VM_VERBOSE:-}" ]; then
  { cat "$log" "$ctl/init.err" | tail -40; } >&2 2>/dev/null || true
  echo "run-in-vm: accel=$accel guest-ready-at=$(cat "$ctl/ready" 2>/dev/null) guest-end=$(cut -d' ' -f1 "$ctl/end" 2>/dev/null) wall=$(awk -v a="$t0" -v b="$(date +%s.%N)" 'BEGIN{printf "%.1f", b-a}')" >&2
fi
if [ -e "$ctl/rc" ]; then exit "$(cat "$ctl/rc")"; fi
echo "run-in-vm: no exit status from the guest (qemu rc $rc)" >&2; tail -20 "$log" >&2 || true; exit 125
