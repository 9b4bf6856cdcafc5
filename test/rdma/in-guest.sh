#!/bin/bash
# What run.sh runs in the guest.
set -u
failed=0
program=native/build/test/transport/espalier_transport_test
perf=native/build/bench/espalier-perf

suite() {
  local before after
  before=$(rdma resource show)
  echo "== tags as immediate data"
  "$program" "verbs:" || failed=1
  echo "== SEND alone and 32 work requests, as on a Mac"
  ESPALIER_VERBS_SEND_ONLY=1 "$program" "verbs:" || failed=1
  after=$(rdma resource show)
  if [ "$before" != "$after" ]; then
    echo "FAIL queue pairs, memory regions or protection domains were left behind:"
    diff <(echo "$before") <(echo "$after")
    failed=1
  fi
}

# Figures of an emulated machine: only the ratio to ib_send_lat of the same run says anything.
latency() {
  echo "== one way and all-reduce, beside ib_send_lat -c UC"
  "$perf" --link verbs --verbs-devices rxe0,rxe1 --collective send,all-reduce --bytes 4096,16384 --buffers any \
    --rounds "${RDMA_ROUNDS:-9}" --budget-ms 150 || failed=1
}

for part in "$@"; do
  case $part in
    suite) suite ;;
    latency) latency ;;
    all) suite; latency ;;
    *) echo "in-guest.sh: there is no part $part" >&2; exit 2 ;;
  esac
done
exit $failed
