#!/bin/bash
# Runs the transport's suite over real verbs (UC queue pairs) in a guest with software RDMA, see run-in-vm.sh.
#   run.sh [suite|latency]...     both unless told
# Exit status: 0 all held, 77 this machine cannot run the guest (it says why), anything else: a test failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

cannot() {
  printf '\n*** cannot run verbs here because %s\n*** the verbs link was NOT tested\n\n' "$1" >&2
  exit 77
}

[ "$(uname -s)" = Linux ] || cannot "the guest needs Linux"
[ "$(uname -m)" = x86_64 ] || cannot "the guest runs this machine's programs on an emulated x86-64"

# program:package
needed="qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod ip:iproute2 rdma:iproute2
  ibv_devices:ibverbs-utils ib_send_lat:perftest python3:python3 dpkg-deb:dpkg"
missing=()
for pair in $needed; do
  PATH=$PATH:/sbin:/usr/sbin type "${pair%%:*}" > /dev/null 2>&1 || missing+=("${pair#*:}")
done
[ -e /usr/lib/x86_64-linux-gnu/libibverbs.so.1 ] || missing+=(libibverbs1)
[ -d /usr/lib/x86_64-linux-gnu/libibverbs ] || missing+=(ibverbs-providers)
type apt-get > /dev/null 2>&1 || cannot "the guest's kernel comes from apt-get, which is not here"
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || cannot "packages are missing and only root can install them: ${missing[*]}"
  log=$(mktemp)
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }
  { install || { apt-get update && install; }; } > "$log" 2>&1 || { tail -5 "$log" >&2; cannot "apt-get cannot install ${missing[*]}"; }
  rm -f "$log"
fi
"$here/build-image.sh" > /dev/null || cannot "the guest's kernel could not be fetched"

cd "$root"
cmake -S native -B native/build > /dev/null
cmake --build native/build --parallel 2 --target espalier_transport_test espalier-perf > /dev/null

# Six cables for a mesh of four, and some that tests may break.
export RDMA_VM_LINKS=10 RDMA_VM_TIMEOUT=${RDMA_VM_TIMEOUT:-540}
code=0
"$here/run-in-vm.sh" bash "$here/in-guest.sh" "${@:-all}" || code=$?
# 77 is ours alone, and a guest that does not come up is a failure here: what it needs is installed.
[ "$code" != 77 ] || code=1
exit "$code"
