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

# Figures of an emulated machine: only the ratios to ib_send_lat of the same rounds say anything.
latency() {
  # rdma_rxe does part of its work in ksoftirqd, which here shares a core with a rank that spins: every message of
  # ib_send_lat, and some of ours, would wait for the scheduler's tick (4 ms). A real device waits for nobody's turn.
  local pid
  for pid in $(pgrep ksoftirqd); do chrt -f -p 1 "$pid"; done
  echo "== beside ib_send_lat -c UC (floor); goals: a send 1.2 of it, an all-reduce 1.5"
  "$perf" --link verbs --verbs-devices rxe0,rxe1 --collective send,all-reduce --bytes 4096,16384 --buffers own,any \
    --rounds "${RDMA_ROUNDS:-15}" --budget-ms 300 || failed=1
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
